#include "cohort/distribute/local_strategy.h"

#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/in_process_communicator.h"
#include "cohort/distribute/placement/zero.h"
#include "cohort/distribute/replica_runner.h"
#include "cohort/distribute/replica_tree.h"
#include "cohort/distribute/step_cache.h"

namespace cohort::distribute {
namespace {

class LocalStrategy final : public Strategy::Impl {
 public:
  LocalStrategy(Runtime& runtime, LocalStrategyConfig config)
      : runtime_(runtime), config_(std::move(config)) {}

  const std::string& name() const override { return config_.name; }
  int num_replicas_in_sync() const override { return config_.num_replicas; }
  int num_input_pipelines() const override { return config_.num_input_pipelines; }
  std::vector<std::string> devices() const override {
    std::vector<std::string> names;
    for (const Device* device : config_.devices) names.push_back(device->name().to_string());
    return names;
  }
  StepCache& step_cache() override { return step_cache_; }
  Trace place(const Trace& trace, int64_t batch_size) override {
    const StepRows rows{.num_replicas = config_.num_replicas, .batch_size = batch_size};
    return place_step(trace, rows,
                      {.sharding = config_.sharding,
                       .first_replicas = first_replicas(added_blocks()),
                       .bucket_bytes = config_.bucket_bytes},
                      groups_);
  }
  std::unique_ptr<StepRunner> make_runner(const Trace& trace, int64_t batch_size) override {
    const Turns in_turn = deals() ? Turns::kExchangeEach : Turns::kExchangeOnce;
    const ReplicaPart part{.devices = config_.devices,
                           .blocks = blocks(),
                           .num_replicas = config_.num_replicas,
                           .turns = config_.num_replicas > num_devices() ? in_turn : Turns::kNone,
                           .dealt = deals(),
                           .bucket_bytes = config_.bucket_bytes};
    return make_replica_runner(runtime_, trace, part, group_, batch_size, workers());
  }

 private:
  int num_devices() const { return static_cast<int>(config_.devices.size()); }
  /// Whether replicas are dealt to the devices, so that each turn's gradients can be scattered.
  bool deals() const {
    return config_.sharding == Sharding::kZero2 && num_devices() > 1 &&
           config_.num_replicas > num_devices() &&
           can_be_dealt(config_.num_replicas, num_devices());
  }
  /// Replicas of each device.
  std::vector<int> blocks() const {
    if (!deals()) return split_into_blocks(config_.num_replicas, num_devices());
    return std::vector<int>(config_.devices.size(), config_.num_replicas / num_devices());
  }
  /// Those that each device adds up before they meet others'.
  std::vector<int> added_blocks() const {
    return deals() ? std::vector<int>(config_.devices.size(), 1) : blocks();
  }

  StepGroup::Communicators make_communicators() const {
    if (config_.devices.size() == 1) return {};
    const auto native = runtime_.communicator_factory(config_.devices.front()->type());
    if (native)
      return native({.devices = config_.devices,
                     .order = combine_order(added_blocks()),
                     .num_replicas = config_.num_replicas});
    return make_in_process_communicators({.block_sizes = added_blocks(), .adders = config_.adders});
  }

  Runtime& runtime_;
  LocalStrategyConfig config_;
  StepGroup group_{[this] { return make_communicators(); }, workers()};
  StepCache step_cache_;
  ParameterGroups groups_;
};

}  // namespace

std::shared_ptr<Strategy::Impl> make_local_strategy(Runtime& runtime, LocalStrategyConfig config) {
  for (const Device* device : config.devices) runtime.note_use(device->type());
  return std::make_shared<LocalStrategy>(runtime, std::move(config));
}

}  // namespace cohort::distribute
