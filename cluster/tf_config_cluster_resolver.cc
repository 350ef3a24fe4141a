#include "cohort/cluster/tf_config_cluster_resolver.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxBytes = 64 << 20;  // of TF_CONFIG; a million addresses fit
constexpr int kMaxNesting = 32;

// How deep the text's brackets nest, those in strings apart: whoever walks the parsed value
// recurses.
int nesting(const std::string& text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

// What stands in an error for a value of any size.
std::string abbreviate(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  return text;
}

Error wrong(const std::string& where, const Json& got, const char* want) {
  return InvalidArgument("TF_CONFIG: {}: got {}; want {}", where, abbreviate(got), want);
}

Json load(const Environment& environment) {
  const std::string text = environment.get("TF_CONFIG").value_or("{}");
  if (text.size() > kMaxBytes)
    throw InvalidArgument("TF_CONFIG: got {} bytes; want {} at most", text.size(), kMaxBytes);
  if (nesting(text) > kMaxNesting)
    throw InvalidArgument("TF_CONFIG: got brackets nested deeper than {}", kMaxNesting);
  Json config;
  try {
    config = Json::parse(text);
  } catch (const Json::exception& error) {
    throw InvalidArgument("TF_CONFIG: got what is not JSON; {}", error.what());
  }
  if (!config.is_object()) throw wrong("all of it", config, "an object");
  return config;
}

std::string to_text(const std::string& where, const Json& value) {
  if (!value.is_string()) throw wrong(where, value, "a string");
  return value.get<std::string>();
}

// A string, or a number in its place.
std::string to_name(const std::string& where, const Json& value) {
  return value.is_number_integer() ? value.dump() : to_text(where, value);
}

int to_index(const std::string& where, const Json& value) {
  const std::optional<int> index = parse_number(to_name(where, value), ClusterSpec::kMaxIndex);
  if (!index) throw wrong(where, value, "an index from 0 to 1048575");
  return *index;
}

std::map<int, std::string> to_tasks(const std::string& job, const Json& tasks) {
  const std::string where = "cluster, job '" + job + "'";
  std::map<int, std::string> addresses;
  if (tasks.is_array()) {
    for (const Json& address : tasks)
      addresses.emplace_hint(addresses.end(), static_cast<int>(addresses.size()),
                             to_text(where, address));
  } else if (tasks.is_object()) {
    for (const auto& [index, address] : tasks.items())
      if (!addresses.emplace(to_index(where, Json(index)), to_text(where, address)).second)
        throw wrong(where, tasks, "every index once");
  } else {
    throw wrong(where, tasks, "a list of addresses, or an object of them by index");
  }
  return addresses;
}

// The member of `config`, or nothing.
const Json* find(const Json& config, const char* name) {
  const auto found = config.find(name);
  return found == config.end() ? nullptr : &*found;
}

const Json* find_in_task(const Json& config, const char* name) {
  const Json* task = find(config, "task");
  if (task == nullptr) return nullptr;
  if (!task->is_object()) throw wrong("task", *task, R"({"type": "worker", "index": 0})");
  return find(*task, name);
}

// null is nothing.
std::optional<std::string> find_text(const Environment& environment, const char* name) {
  const Json config = load(environment);
  const Json* value = find(config, name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return to_text(name, *value);
}

ClusterSpec::SparseJobs to_jobs(const std::string& where, const Json& cluster) {
  if (!cluster.is_object()) throw wrong(where, cluster, R"({"worker": ["host:port"]})");
  ClusterSpec::SparseJobs jobs;
  for (const auto& [job, tasks] : cluster.items()) jobs[job] = to_tasks(job, tasks);
  return jobs;
}

// What TFJob writes for a job that the task does not see: null.
Json without_null_jobs(Json cluster) {
  if (cluster.is_object())
    for (auto& [job, tasks] : cluster.items())
      if (tasks.is_null()) tasks = Json::array();
  return cluster;
}

}  // namespace

TFConfigClusterResolver::TFConfigClusterResolver(Environment environment, TFConfigOptions options)
    : environment_(std::move(environment)), options_(std::move(options)) {}

ClusterSpec TFConfigClusterResolver::cluster_spec() const {
  const Json config = load(environment_);
  const Json* cluster = find(config, "cluster");
  const Json* sparse = find(config, "sparseCluster");
  if (cluster != nullptr && sparse != nullptr)
    throw wrong("cluster, sparseCluster", *sparse, "one of them");
  if (cluster != nullptr) return ClusterSpec::sparse(to_jobs("cluster", *cluster));
  if (sparse == nullptr) return {};
  return ClusterSpec::sparse(to_jobs("sparseCluster", without_null_jobs(*sparse)));
}

bool TFConfigClusterResolver::has_sparse_cluster() const {
  return find(load(environment_), "sparseCluster") != nullptr;
}

std::optional<std::string> TFConfigClusterResolver::task_type() const {
  if (options_.overrides.task_type) return options_.overrides.task_type;
  const Json config = load(environment_);
  const Json* type = find_in_task(config, "type");
  if (type == nullptr) return std::nullopt;
  return to_name("task, type", *type);
}

std::optional<int> TFConfigClusterResolver::task_id() const {
  if (options_.overrides.task_id) return options_.overrides.task_id;
  const Json config = load(environment_);
  const Json* index = find_in_task(config, "index");
  if (index == nullptr) return std::nullopt;
  return to_index("task, index", *index);
}

std::optional<std::string> TFConfigClusterResolver::rpc_layer() const {
  if (options_.overrides.rpc_layer) return options_.overrides.rpc_layer;
  return find_text(environment_, "rpc_layer");
}

std::string TFConfigClusterResolver::environment() const {
  if (!options_.environment.empty()) return options_.environment;
  return find_text(environment_, "environment").value_or("");
}

Accelerators TFConfigClusterResolver::num_accelerators(const std::optional<std::string>& task_type,
                                                       std::optional<int> task_id) const {
  const std::optional<std::string> type = task_type ? task_type : this->task_type();
  const std::optional<int> id = task_id ? task_id : this->task_id();
  if (!type || !id) return count_accelerators(options_.devices);
  return count_accelerators(options_.devices, Task{*type, *id});
}

std::optional<std::string> TFConfigClusterResolver::given_master(const TaskOverrides& asked) const {
  if (const auto master = find_text(environment_, "session_master")) return master;
  const ClusterSpec spec = cluster_spec();
  const std::vector<std::string> jobs = spec.jobs();
  if (jobs.empty() || (jobs.size() == 1 && spec.job_tasks(jobs[0]).size() == 1)) return "";
  if ((asked.task_type || task_type()) && (asked.task_id || task_id())) return std::nullopt;
  throw InvalidArgument("TF_CONFIG: got no task in {} for master(); want \"task\", or arguments",
                        spec.to_string());
}

}  // namespace cohort::cluster
