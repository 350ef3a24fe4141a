#include "distribute/mirrored_strategy.h"

#include <algorithm>

#include "core/runtime/runtime.h"
#include "distribute/local_strategy.h"

namespace cohort::distribute {
namespace {

std::vector<Device*> choose_devices(Runtime& runtime, const std::vector<std::string>& names) {
  std::vector<Device*> devices;
  for (const std::string& name : names) devices.push_back(&runtime.device(name));
  if (names.empty()) {
    devices = runtime.devices(DeviceType::kGPU);
    if (devices.empty()) devices = runtime.devices(DeviceType::kCPU);
  }
  for (size_t i = 0; i < devices.size(); ++i) {
    if (std::find(devices.begin(), devices.begin() + static_cast<long>(i), devices[i]) !=
        devices.begin() + static_cast<long>(i))
      throw InvalidArgument(
          "MirroredStrategy: got {} twice; No duplicates allowed in `devices` argument",
          devices[i]->name().to_string());
    if (devices[i]->type() != devices[0]->type())
      throw InvalidArgument("MirroredStrategy: got {} beside {}; want devices of one type",
                            devices[i]->name().to_string(), devices[0]->name().to_string());
  }
  return devices;
}

/// Positions of the devices that add; empty for the default.
std::vector<int> adders(CrossDeviceOps ops, int num_devices) {
  if (ops == CrossDeviceOps::kReductionToOneDevice) return {0};
  if (ops == CrossDeviceOps::kHierarchicalCopy && num_devices > 1) return {0, num_devices / 2};
  return {};
}

thread_local std::vector<Strategy> strategy_stack;

}  // namespace

Strategy MirroredStrategy(MirroredOptions options) {
  Runtime& runtime = default_runtime();
  LocalStrategyConfig config;
  config.name = "MirroredStrategy";
  config.devices = choose_devices(runtime, options.devices);
  const int num_devices = static_cast<int>(config.devices.size());
  config.num_replicas = options.num_replicas == 0 ? num_devices : options.num_replicas;
  if (config.num_replicas < num_devices)
    throw InvalidArgument(
        "MirroredStrategy: got {} replicas for {} devices; want at least one for each",
        options.num_replicas, num_devices);
  if (options.bytes_per_pack < 1)
    throw InvalidArgument("MirroredStrategy: got bytes_per_pack {}; want 1 or more",
                          options.bytes_per_pack);
  config.bucket_bytes = static_cast<size_t>(options.bytes_per_pack);
  const bool on_gpu = config.devices.front()->type() == DeviceType::kGPU;
  if (options.cross_device_ops == CrossDeviceOps::kNccl && !on_gpu)
    throw InvalidArgument("MirroredStrategy: got NCCL for {}; want GPUs",
                          config.devices.front()->name().to_string());
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
  return Strategy(make_local_strategy(
      runtime, {.name = "DefaultStrategy", .devices = {&runtime.default_device()}}));
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

Strategy current_strategy() {
  return strategy_stack.empty() ? default_strategy() : strategy_stack.back();
}

}  // namespace cohort::distribute
