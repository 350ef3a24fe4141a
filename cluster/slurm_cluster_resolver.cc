#include "cohort/cluster/slurm_cluster_resolver.h"

#include <algorithm>
#include <numeric>

#include "cohort/cluster/address.h"
#include "cohort/cluster/slurm_lists.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr int kMaxGpus = 1024;

Error absent(const char* name) {
  return FailedPrecondition("{} not found in environment. Not running inside a SLURM step?", name);
}

std::string require(const Environment& environment, const char* name) {
  const std::optional<std::string> value = environment.get(name);
  if (!value) throw absent(name);
  return *value;
}

int require_number(const Environment& environment, const char* name) {
  const std::optional<int> value = environment.get_number(name, kMaxSlurmTasks);
  if (!value) throw absent(name);
  return *value;
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

// "node1=10.0.0.1,node2=10.0.0.2"
void replace_names(std::vector<std::string>& hosts, const std::string& addresses) {
  std::map<std::string, std::string> by_name;
  for (const std::string& part : split_at_commas(addresses)) {
    const size_t equals = part.find('=');
    if (equals == 0 || equals >= part.size() - 1)
      throw InvalidArgument("COHORT_NODE_ADDRESSES: got '{}'; want node=address,…", part);
    by_name.emplace(part.substr(0, equals), part.substr(equals + 1));
  }
  for (std::string& host : hosts)
    if (const auto found = by_name.find(host); found != by_name.end()) host = found->second;
}

// How many tasks in turn go to a node before the next one's turn comes: 1 for cyclic, all for
// block.
int tasks_per_turn(const std::string& distribution) {
  const std::string nodes = distribution.substr(0, distribution.find_first_of(":,"));
  if (nodes == "cyclic") return 1;
  if (nodes.starts_with("plane=")) {
    const auto size = parse_number(std::string_view(nodes).substr(6), kMaxSlurmTasks);
    if (!size || *size == 0)
      throw InvalidArgument("SLURM_DISTRIBUTION: got '{}'; want plane=N", distribution);
    return *size;
  }
  if (nodes == "arbitrary")
    throw FailedPrecondition(
        "SLURM_DISTRIBUTION: got 'arbitrary', which does not tell which task runs where; want "
        "block, "
        "cyclic or plane=N");
  return kMaxSlurmTasks;
}

}  // namespace

SlurmClusterResolver::SlurmClusterResolver(Environment environment, SlurmOptions options)
    : environment_(std::move(environment)), options_(std::move(options)) {
  rank_ = require_number(environment_, "SLURM_PROCID");
  if (options_.jobs.empty())
    options_.jobs = {{"worker", require_number(environment_, "SLURM_STEP_NUM_TASKS")}};
  read_nodes();
  const int assigned = std::accumulate(tasks_per_node_.begin(), tasks_per_node_.end(), 0);
  long requested = 0;
  for (const auto& [job, count] : options_.jobs) {
    if (count < 0)
      throw InvalidArgument("SlurmClusterResolver: got {} tasks for job '{}'; want 0 or more",
                            count, job);
    requested += count;
  }
  if (requested != assigned)
    throw FailedPrecondition("Requested {} tasks but only {} were assigned.", requested, assigned);
  if (rank_ >= assigned)
    throw InvalidArgument("SLURM_PROCID: got {}; want less than {}, the number of tasks", rank_,
                          assigned);
  place_tasks();
  check_own_place();
  read_gpus();
}

void SlurmClusterResolver::read_nodes() {
  hosts_ = expand_hostlist(require(environment_, "SLURM_STEP_NODELIST"));
  if (hosts_.empty())
    throw InvalidArgument("SLURM_STEP_NODELIST: got '{}', which names no node; want one or more",
                          require(environment_, "SLURM_STEP_NODELIST"));
  if (options_.tasks_per_node) {
    const int tasks = *options_.tasks_per_node;
    if (tasks < 1 || tasks > kMaxSlurmTasks / static_cast<int>(hosts_.size()))
      throw InvalidArgument("SlurmClusterResolver: got tasks_per_node {}; want 1 … {}", tasks,
                            kMaxSlurmTasks / hosts_.size());
    tasks_per_node_.assign(hosts_.size(), tasks);
  } else {
    tasks_per_node_ = expand_tasks_per_node(require(environment_, "SLURM_STEP_TASKS_PER_NODE"));
  }
  if (tasks_per_node_.size() != hosts_.size())
    throw InvalidArgument(
        "Slurm: got {} nodes in SLURM_STEP_NODELIST and {} in SLURM_STEP_TASKS_PER_NODE; want as "
        "many",
        hosts_.size(), tasks_per_node_.size());
  const int fullest = *std::max_element(tasks_per_node_.begin(), tasks_per_node_.end());
  if (options_.port_base < 0 || options_.port_base + fullest > 65536)
    throw InvalidArgument(
        "SlurmClusterResolver: got port_base {} for {} tasks; want ports to 65535",
        options_.port_base, fullest);
  if (const auto addresses = environment_.get("COHORT_NODE_ADDRESSES"))
    replace_names(hosts_, *addresses);
}

void SlurmClusterResolver::place_tasks() {
  const int turn = tasks_per_turn(environment_.get("SLURM_DISTRIBUTION").value_or("block"));
  std::vector<int> placed(hosts_.size(), 0);
  std::vector<int> open(hosts_.size());  // nodes that want more tasks
  std::iota(open.begin(), open.end(), 0);
  while (!open.empty()) {
    for (const int node : open)
      for (int i = 0; i < turn && placed[node] < tasks_per_node_[node]; ++i)
        places_.push_back({node, placed[node]++});
    std::erase_if(open, [&](int node) { return placed[node] == tasks_per_node_[node]; });
  }
}

void SlurmClusterResolver::check_own_place() const {
  const Place place = places_[rank_];
  const int node = environment_.get_number("SLURM_NODEID", kMaxSlurmNodes).value_or(place.node);
  const int local = environment_.get_number("SLURM_LOCALID", kMaxSlurmTasks).value_or(place.local);
  if (place != Place{node, local})
    throw FailedPrecondition(
        "Slurm: task {} runs as task {} of node {}, but SLURM_DISTRIBUTION='{}' would place it as "
        "task "
        "{} of node {}; start srun with --distribution=block",
        rank_, local, node, environment_.get("SLURM_DISTRIBUTION").value_or(""), place.local,
        place.node);
}

void SlurmClusterResolver::read_gpus() {
  gpus_ = split_at_commas(environment_.get("CUDA_VISIBLE_DEVICES").value_or(""));
  if (const auto count = options_.gpus_per_node) {
    if (*count < 0 || *count > kMaxGpus)
      throw InvalidArgument("SlurmClusterResolver: got gpus_per_node {}; want 0 … {}", *count,
                            kMaxGpus);
    if (static_cast<int>(gpus_.size()) != *count) {
      gpus_.clear();
      for (int gpu = 0; gpu < *count; ++gpu) gpus_.push_back(std::to_string(gpu));
    }
  }
  const int tasks = *std::max_element(tasks_per_node_.begin(), tasks_per_node_.end());
  const int gpus = static_cast<int>(gpus_.size());
  gpus_per_task_ = options_.gpus_per_task.value_or(tasks == 0 ? 0 : gpus / tasks);
  if (gpus_per_task_ < 0 || gpus_per_task_ > kMaxGpus || gpus_per_task_ * tasks > gpus)
    throw FailedPrecondition(
        "Requested more GPUs per node than available. Got {} tasks of {} GPUs on a node of {}.",
        tasks, gpus_per_task_, gpus);
}

Task SlurmClusterResolver::task_of_rank(int rank) const {
  for (const auto& [job, count] : options_.jobs) {
    if (rank < count) return {job, rank};
    rank -= count;
  }
  throw Internal("Slurm: rank {} beyond the last job", rank);
}

ClusterSpec SlurmClusterResolver::cluster_spec() const {
  ClusterSpec::SparseJobs jobs;
  for (const auto& [job, count] : options_.jobs) jobs[job];
  for (size_t rank = 0; rank < places_.size(); ++rank) {
    const Task task = task_of_rank(static_cast<int>(rank));
    const int port = options_.port_base == 0 ? 0 : options_.port_base + places_[rank].local;
    const Address address{.host = hosts_[places_[rank].node], .port = port};
    jobs[task.type][task.index] = address.to_string();
  }
  return ClusterSpec::sparse(jobs);
}

std::optional<std::string> SlurmClusterResolver::task_type() const {
  if (options_.overrides.task_type) return options_.overrides.task_type;
  return task_of_rank(rank_).type;
}

std::optional<int> SlurmClusterResolver::task_id() const {
  if (options_.overrides.task_id) return options_.overrides.task_id;
  return task_of_rank(rank_).index;
}

Accelerators SlurmClusterResolver::num_accelerators(const std::optional<std::string>&,
                                                    std::optional<int>) const {
  const int count = gpus_per_task_ > 0 ? gpus_per_task_ : static_cast<int>(gpus_.size());
  if (count == 0) return {};
  return {{"GPU", count}};
}

std::string SlurmClusterResolver::advice_on_names() const {
  return "want names of nodes that resolve, or COHORT_NODE_ADDRESSES=node1=10.0.0.1,node2=10.0.0.2 "
         "in srun's environment, with NodeAddr of `scontrol show node` (train.sbatch does that)";
}

std::optional<std::string> SlurmClusterResolver::visible_devices() const {
  if (gpus_.empty()) return std::nullopt;
  if (gpus_per_task_ == 0) return environment_.get("CUDA_VISIBLE_DEVICES");
  std::string names;
  const int first = places_[rank_].local * gpus_per_task_;
  for (int gpu = first; gpu < first + gpus_per_task_; ++gpu)
    names += (names.empty() ? "" : ",") + gpus_[gpu];
  return names;
}

std::optional<std::string> SlurmClusterResolver::rpc_layer() const {
  return options_.overrides.rpc_layer;
}

}  // namespace cohort::cluster
