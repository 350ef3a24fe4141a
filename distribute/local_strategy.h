#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/distribute/sharding.h"
#include "cohort/distribute/strategy.h"

namespace cohort {
class Device;
class Runtime;
}  // namespace cohort

namespace cohort::distribute {

/// How the strategies of one process differ.
struct LocalStrategyConfig {
  std::string name;
  std::vector<Device*> devices;
  int num_replicas = 1;  ///< logical replicas, spread over the devices in contiguous blocks
  size_t bucket_bytes = size_t{4} << 20;
  /// CPU devices that add gradients, by position; empty: all of them.
  std::vector<int> adders = {};
  Sharding sharding = Sharding::kNone;
  int num_input_pipelines = 1;
};

/// Replicas on devices of this process: one thread for each device, the first device on the
/// caller's thread.
std::shared_ptr<Strategy::Impl> make_local_strategy(Runtime& runtime, LocalStrategyConfig config);

}  // namespace cohort::distribute
