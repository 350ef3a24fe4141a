#include "cohort/distribute/mirrored_strategy.h"

#include <set>

#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/choose_devices.h"
#include "cohort/distribute/job_facts.h"
#include "cohort/distribute/local_strategy.h"
#include "cohort/distribute/placement/commit_number.h"

namespace cohort::distribute {
namespace {

/// Positions of the devices that add; empty for the default.
std::vector<int> adders(CrossDeviceOps ops, int num_devices) {
  if (ops == CrossDeviceOps::kReductionToOneDevice) return {0};
  if (ops == CrossDeviceOps::kHierarchicalCopy && num_devices > 1) return {0, num_devices / 2};
  return {};
}

/// NCCL does not join logical devices of one card.
void check_own_cards(const Runtime& runtime, const std::vector<Device*>& devices) {
  const JobCommunicators* nccl = runtime.job_communicators(DeviceType::kGPU);
  std::set<std::string> cards;
  for (const Device* device : devices)
    if (nccl && !cards.insert(nccl->identity(*device)).second)
      throw InvalidArgument(
          "MirroredStrategy: got NCCL for several logical devices of the card {}; want kAuto",
          nccl->identity(*device));
}

constexpr const char* kDefault = "DefaultStrategy";

thread_local std::vector<Strategy> strategy_stack;

}  // namespace

Strategy MirroredStrategy(MirroredOptions options) {
  Runtime& runtime = default_runtime();
  const std::optional<JobFacts> facts = facts_to_resume(options.resume_from);
  if (facts) adopt(runtime, *facts);
  LocalStrategyConfig config;
  config.name = "MirroredStrategy";
  config.devices = choose_devices(config.name, runtime, options.devices);
  const int num_devices = static_cast<int>(config.devices.size());
  config.num_replicas = choose_replicas(
      config.name, replicas_to_resume(options.num_replicas, facts), options.mesh, num_devices);
  config.num_input_pipelines = input_pipelines_to_resume(1, facts);
  config.bucket_bytes = check_bytes_per_pack(config.name, options.bytes_per_pack);
  config.sharding = options.sharding;
  const bool on_gpu = config.devices.front()->type() == DeviceType::kGPU;
  if (options.cross_device_ops == CrossDeviceOps::kNccl && !on_gpu)
    throw InvalidArgument("MirroredStrategy: got NCCL for {}; want GPUs",
                          config.devices.front()->name().to_string());
  if (options.cross_device_ops == CrossDeviceOps::kNccl) check_own_cards(runtime, config.devices);
  config.adders = adders(options.cross_device_ops, num_devices);
  if (on_gpu && !config.adders.empty())
    throw Unimplemented(
        "MirroredStrategy: got cross-device ops of CPU devices for GPUs; want kAuto or kNccl");
  return Strategy(make_local_strategy(runtime, std::move(config)));
}

Strategy OneDeviceStrategy(const std::string& device) {
  Runtime& runtime = default_runtime();
  return Strategy(make_local_strategy(
      runtime, {.name = "OneDeviceStrategy", .devices = {&runtime.device(device)}}));
}

Strategy default_strategy() {
  Runtime& runtime = default_runtime();
  return Strategy(
      make_local_strategy(runtime, {.name = kDefault, .devices = {&runtime.default_device()}}));
}

std::vector<std::string> Strategy::devices() const { return impl_->devices(); }

Strategy::Impl::Impl()
    : commits_(std::make_shared<VariableState>(
          Tensor::scalar(int64_t{0}),
          VariableOptions{.name = "commit_number", .trainable = false})) {}

Strategy::Impl::~Impl() = default;

int64_t Strategy::commit_number() const { return impl_->commits()->value().item<int64_t>(); }

std::unique_ptr<StepRunner> Strategy::make_runner(const Trace& trace, int64_t batch_size) const {
  Trace placed = impl_->place(trace, batch_size);
  if (trace.counts_commits) placed = count_commits(placed, impl_->commits());
  return impl_->make_runner(placed, batch_size);
}

bool Strategy::operator==(const Strategy& other) const {
  return impl_ == other.impl_ ||
         (name() == kDefault && other.name() == kDefault && devices() == other.devices());
}

StrategyScope::StrategyScope(const Strategy& strategy) {
  if (!strategy_stack.empty() && !(strategy_stack.back() == strategy))
    throw FailedPrecondition(
        "scope: got {} inside the scope of {}; Mixing different tf.distribute.Strategy objects is "
        "not allowed",
        strategy.name(), strategy_stack.back().name());
  strategy_stack.push_back(strategy);
}

StrategyScope::~StrategyScope() { strategy_stack.pop_back(); }

bool has_strategy() { return !strategy_stack.empty(); }

Strategy current_strategy() {
  return strategy_stack.empty() ? default_strategy() : strategy_stack.back();
}

}  // namespace cohort::distribute
