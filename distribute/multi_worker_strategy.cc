#include "cohort/distribute/multi_worker_strategy.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "cohort/cluster/failure_report.h"
#include "cohort/cluster/job.h"
#include "cohort/cluster/job_secret.h"
#include "cohort/cluster/join.h"
#include "cohort/cluster/local_address.h"
#include "cohort/cluster/peer_wait.h"
#include "cohort/core/graph/dump.h"
#include "cohort/core/graph/serialize.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/choose_devices.h"
#include "cohort/distribute/job_devices.h"
#include "cohort/distribute/job_facts.h"
#include "cohort/distribute/local_strategy.h"
#include "cohort/distribute/placement/zero.h"
#include "cohort/distribute/replica_runner.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/distribute/step_cache.h"
#include "cohort/distribute/transport/mpi_world.h"
#include "cohort/distribute/worker_group.h"

namespace cohort::distribute {
namespace {

constexpr const char* kName = "MultiWorkerMirroredStrategy";
/// Of what workers tell each other outside of the graph.
constexpr const char* kWorkersVersion = "cohort 0.1 workers 1";

constexpr std::chrono::minutes kTimeout(10);

int64_t bytes_per_pack(const CommunicationOptions& options) {
  return options.bytes_per_pack == 0 ? int64_t{4} << 20 : options.bytes_per_pack;
}

std::chrono::milliseconds timeout_of(const CommunicationOptions& options) {
  const auto timeout = options.timeout.value_or(kTimeout);
  return timeout.count() == 0 ? kTimeout : timeout;
}

std::string type_name(const Device& device) {
  return device.type() == DeviceType::kGPU ? "gpu" : "cpu";
}

/// The first line of `mine` that `theirs` has otherwise.
std::string first_difference(const std::string& mine, const std::string& theirs) {
  size_t line = 0, at = 0;
  for (; at < mine.size() && at < theirs.size() && mine[at] == theirs[at]; ++at)
    if (mine[at] == '\n') line = at + 1;
  const auto rest = [&](const std::string& text) {
    return line < text.size() ? text.substr(line, text.find('\n', line) - line) : "(the end)";
  };
  return fmt::format("\"{}\" where the chief has \"{}\"", rest(mine), rest(theirs));
}

/// The job's seat of this process.
std::unique_ptr<cluster::Membership> join(const cluster::Job& job,
                                          std::chrono::milliseconds timeout,
                                          std::shared_ptr<const cluster::WaitBoard> wait_board) {
  return cluster::join_cluster({.tasks = job.tasks,
                                .self = job.self,
                                .coordinator = job.coordinator,
                                .published = job.coordinator.empty(),
                                .addresses = job.addresses,
                                .advice_on_names = job.advice_on_names,
                                .job_id = job.job_id,
                                .secret = cluster::job_secret_of_process(),
                                .one_host = job.one_host,
                                .require_secret = job.require_secret,
                                .reflection = job.reflection,
                                .version = kWorkersVersion,
                                .startup_timeout = timeout,
                                .tls = job.tls,
                                .wait_board = std::move(wait_board)});
}

/// MPI among the job's tasks; null where it is not wanted. A failure is told to the other tasks.
std::shared_ptr<MpiWorld> join_mpi(cluster::Membership& membership,
                                   const MultiWorkerMirroredOptions& options) {
  if (options.communication_options.implementation != CommunicationImplementation::kMpi) return {};
  try {
    cluster::PeerWait wait({.store = &membership,
                            .where = "mpi: " + membership.self().to_string(),
                            .timeout = options.startup_timeout});
    auto world = start_mpi(cluster::Environment::of_process(), options.startup_timeout, [&wait] {
      wait.check([] { return "the other processes of mpirun to begin MPI"; });
    });
    if (world->size() != static_cast<int>(membership.tasks().size())) {
      world->give_up();
      throw InvalidArgument("{}: got {} tasks and {} processes of MPI; want equally many", kName,
                            membership.tasks().size(), world->size());
    }
    return world;
  } catch (const Error& error) {
    if (!membership.error()) membership.report_error(error);
    throw;
  }
}

/// What this worker's devices hold of variables that differ by replica.
class WorkerCopies final : public ReplicaCopies {
 public:
  WorkerCopies(WorkerGroup& group, const std::vector<Device*>& devices)
      : group_(group), devices_(devices) {}

  int num_copies() const override { return group_.count() * static_cast<int>(devices_.size()); }
  int first_copy() const override { return group_.index() * static_cast<int>(devices_.size()); }
  const std::vector<Device*>& devices() const override { return devices_; }
  std::vector<Tensor> gather(const std::string& variable,
                             const std::vector<Tensor>& mine) override {
    return group_.guard("a read of what replicas hold of their own",
                        [&] { return group_.all_gather(variable, mine); });
  }

 private:
  WorkerGroup& group_;
  const std::vector<Device*> devices_;
};

class MultiWorkerStrategy final : public Strategy::Impl {
 public:
  MultiWorkerStrategy(Runtime& runtime, std::unique_ptr<WorkerGroup> group,
                      const MultiWorkerMirroredOptions& options)
      : runtime_(runtime),
        group_(std::move(group)),
        gradient_dtype_(options.communication_options.gradient_dtype),
        sharding_(options.sharding) {
    group_->guard("the start", [&] { set_up(options); });
  }

  const std::string& name() const override { return *name_; }
  int num_replicas_in_sync() const override { return part_.num_replicas; }
  int first_replica() const override { return part_.first_replica; }
  int num_local_replicas() const override {
    return std::accumulate(part_.blocks.begin(), part_.blocks.end(), 0);
  }
  Workers& workers() override { return *group_; }
  int num_input_pipelines() const override { return num_input_pipelines_; }
  std::vector<std::string> devices() const override {
    std::vector<std::string> names;
    for (const Device* device : part_.devices) names.push_back(device->name().to_string());
    return names;
  }
  StepCache& step_cache() override { return step_cache_; }

  Trace place(const Trace& trace, int64_t batch_size) override {
    const StepRows rows{.num_replicas = part_.num_replicas, .batch_size = batch_size};
    return place_step(trace, rows,
                      {.sharding = sharding_,
                       .first_replicas = first_replicas(all_blocks_),
                       .bucket_bytes = part_.bucket_bytes},
                      groups_);
  }

  std::unique_ptr<StepRunner> make_runner(const Trace& trace, int64_t batch_size) override {
    const auto entered = group_->enter("the making of a step");
    agree_on(trace, batch_size);
    std::erase_if(started_, [](const auto& variable) { return variable.expired(); });
    for (const auto& variable : trace.graph->variables()) start_from_chief(variable);
    return make_replica_runner(runtime_, trace, part_, step_group_, batch_size, *group_);
  }

 private:
  StepGroup::Communicators make_communicators() {
    if (!job_communicators_) return group_->make_communicators(all_blocks_);
    return make_job_communicators(*job_communicators_, *group_,
                                  {.devices = part_.devices,
                                   .order = combine_order(all_blocks_),
                                   .num_replicas = part_.num_replicas,
                                   .timeout = group_->timeout(),
                                   .failure = [group = group_.get()] { return group->failure(); }});
  }

  void set_up(const MultiWorkerMirroredOptions& options) {
    const JobFacts facts = chiefs_facts_to_resume(*group_, options.resume_from);
    adopt(runtime_, facts);
    use_least_instruction_set(kName, *group_);
    divide_cores();
    part_.devices = choose_devices(kName, runtime_, options.devices);
    job_communicators_ = runtime_.job_communicators(part_.devices.front()->type());
    if (job_communicators_ && gradient_dtype_ != DType::kF32)
      throw Unimplemented("{}: got gradient_dtype {} on GPUs; want float32", kName,
                          gradient_dtype_);
    divide_devices(!options.devices.empty());
    for (const Device* device : part_.devices) runtime_.note_use(device->type());
    lay_out_replicas(options, facts);
    num_input_pipelines_ = input_pipelines_to_resume(group_->count(), facts);
    adopt_seed();
    part_.job = name_;
    copies_ = std::make_shared<WorkerCopies>(*group_, part_.devices);
    runtime_.note_job(name_);
  }

  /// Workers that see the same GPUs get a share of them each, unless the program has named devices.
  void divide_devices(bool named) {
    WorkerDevices mine{type_name(*part_.devices.front()), named, {}};
    if (job_communicators_)
      for (const Device* device : part_.devices)
        mine.identities.push_back(job_communicators_->identity(*device));
    std::vector<WorkerDevices> workers;
    for (const std::string& text : group_->all_gather("devices", mine.to_text()))
      workers.push_back(WorkerDevices::from_text(text));
    std::vector<std::string> names;
    for (int worker = 0; worker < group_->count(); ++worker)
      names.push_back(group_->name_of(worker));
    const DeviceRange range =
        assign_devices(kName, workers, names)[static_cast<size_t>(group_->index())];
    if (job_communicators_)
      part_.devices = {part_.devices.begin() + static_cast<int64_t>(range.begin),
                       part_.devices.begin() + static_cast<int64_t>(range.end)};
  }

  /// Workers on one host get a share of its cores each, unless the program has chosen devices.
  void divide_cores() {
    if (cpu_devices_are_untouched(runtime_) && group_->sharing_cores() > 1)
      runtime_.set_logical_cpu_devices(1, std::max(1, num_cpu_cores() / group_->sharing_cores()));
  }

  void lay_out_replicas(const MultiWorkerMirroredOptions& options, const JobFacts& facts) {
    const int here = static_cast<int>(part_.devices.size());
    const auto counts = group_->all_gather("number of devices", std::vector{Tensor::scalar(here)});
    for (int worker = 0; worker < group_->count(); ++worker)
      if (const int there = counts[static_cast<size_t>(worker)].item<int>(); there != here)
        throw InvalidArgument(
            "{}: Mismatched number of devices per worker: got {} on {} and {} on {}", kName, here,
            group_->name_of(group_->index()), there, group_->name_of(worker));
    const int num_devices = here * group_->count();
    part_.num_replicas = choose_replicas(kName, replicas_to_resume(options.num_replicas, facts),
                                         options.mesh, num_devices);
    if (part_.num_replicas > num_devices) part_.turns = Turns::kExchangeOnce;
    part_.gradient_dtype = gradient_dtype_;
    part_.bucket_bytes = check_bytes_per_pack(kName, bytes_per_pack(options.communication_options));
    all_blocks_ = split_into_blocks(part_.num_replicas, num_devices);
    const auto mine = all_blocks_.begin() + group_->index() * here;
    part_.blocks.assign(mine, mine + here);
    part_.first_replica = std::accumulate(all_blocks_.begin(), mine, 0);
  }

  void adopt_seed() {
    uint64_t seed = runtime_.random_seed();
    group_->broadcast("seed", &seed, sizeof seed);
    runtime_.set_random_seed(seed);
  }

  /// Throws, on every worker alike, when the workers' steps are not the same.
  void agree_on(const Trace& trace, int64_t batch_size) {
    const std::string record = fmt::format(
        "graph {}, batch size {}, {} replicas, packs of {} bytes, gradients sent as {}, "
        "seed {}",
        graph_hash(*trace.graph).to_string(), batch_size, part_.num_replicas, part_.bucket_bytes,
        gradient_dtype_, runtime_.random_seed());
    const auto records = group_->all_gather("step", record);
    const auto other = std::find_if(records.begin(), records.end(),
                                    [&](const std::string& r) { return r != records.front(); });
    if (other == records.end()) return;
    const auto worker = static_cast<int>(other - records.begin());
    const auto graphs = group_->all_gather("graph", dump_text(*trace.graph));
    const std::string& theirs = graphs[static_cast<size_t>(worker)];
    throw FailedPrecondition("{}: {} and {} have different steps: got {}; the chief has {}; {}",
                             kName, group_->name_of(worker), group_->name_of(0), *other,
                             records.front(),
                             theirs == graphs.front() ? "the graphs are equal"
                                                      : first_difference(theirs, graphs.front()));
  }

  /// Gives a variable the chief's value when it is first used.
  void start_from_chief(const std::shared_ptr<VariableState>& variable) {
    if (!started_.insert(variable).second) return;
    if (variable->is_sharded()) return variable->belong_to(name_, copies_);  // its parts have begun
    Tensor value = variable->value();
    variable->belong_to(name_, copies_);
    group_->broadcast(variable->name(), value.raw(), value.num_bytes());
    const bool is_of_each_replica =
        variable->options().synchronization == VariableSynchronization::kOnRead;
    if (!group_->is_chief() || is_of_each_replica) variable->assign(value);
  }

  Runtime& runtime_;
  const std::shared_ptr<const std::string> name_ = std::make_shared<const std::string>(kName);
  std::unique_ptr<WorkerGroup> group_;
  const DType gradient_dtype_;
  const Sharding sharding_;
  const JobCommunicators* job_communicators_ = nullptr;  ///< of a back end; null for CPU devices
  ReplicaPart part_;
  std::shared_ptr<WorkerCopies> copies_;
  int num_input_pipelines_ = 1;
  std::vector<int> all_blocks_;  ///< logical replicas of every device of every worker
  std::set<std::weak_ptr<VariableState>, std::owner_less<>> started_;
  StepGroup step_group_{[this] { return make_communicators(); }, *group_};
  StepCache step_cache_;
  ParameterGroups groups_;
};

/// The strategy of this process among several. What goes wrong before the others can be told is
/// told to the launcher.
Strategy join_workers(Runtime& runtime, const cluster::Job& job,
                      const MultiWorkerMirroredOptions& options) {
  const std::string address = job.coordinator.empty() ? "127.0.0.1"
                                                      : cluster::local_address_towards(
                                                            job.coordinator, job.advice_on_names);
  WorkerGroup::Options group_options{.address = address,
                                     .ports = job.ports,
                                     .startup_timeout = options.startup_timeout,
                                     .timeout = timeout_of(options.communication_options),
                                     .tls = cluster::read_tls_keys(job.tls),
                                     .wait_board = std::make_shared<cluster::WaitBoard>()};
  std::unique_ptr<cluster::Membership> membership;
  try {
    membership = join(job, options.startup_timeout, group_options.wait_board);
    group_options.mpi = join_mpi(*membership, options);
  } catch (const Error& error) {
    const bool foreign = error.code() == Code::kUnavailable || error.code() == Code::kAborted;
    cluster::FailureReport(cluster::Environment::of_process())
        .write({.task = job.tasks[static_cast<size_t>(job.self)].to_string(),
                .own = !foreign,
                .code = error.code(),
                .text = error.what()});
    throw;
  }
  auto group = std::make_unique<WorkerGroup>(std::move(membership), std::move(group_options));
  group->report_to(runtime.metrics());
  return Strategy(std::make_shared<MultiWorkerStrategy>(runtime, std::move(group), options));
}

}  // namespace

Strategy MultiWorkerMirroredStrategy(MultiWorkerMirroredOptions options) {
  options.communication_options.check();
  Runtime& runtime = default_runtime();
  check_implementation(kName, options.communication_options.implementation,
                       type_name(*choose_devices(kName, runtime, options.devices).front()));
  const cluster::Job job =
      cluster::resolve_job(cluster::Environment::of_process(), options.cluster_resolver);
  if (job.tasks.size() > 1) return join_workers(runtime, job, options);
  const std::optional<JobFacts> facts = facts_to_resume(options.resume_from);
  if (facts) adopt(runtime, *facts);
  LocalStrategyConfig config{.name = kName,
                             .devices = choose_devices(kName, runtime, options.devices)};
  config.num_replicas = choose_replicas(kName, replicas_to_resume(options.num_replicas, facts),
                                        options.mesh, static_cast<int>(config.devices.size()));
  config.num_input_pipelines = input_pipelines_to_resume(1, facts);
  config.bucket_bytes = check_bytes_per_pack(kName, bytes_per_pack(options.communication_options));
  config.sharding = options.sharding;
  return Strategy(make_local_strategy(runtime, std::move(config)));
}

}  // namespace cohort::distribute
