#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/core/runtime/collective_plan.h"
#include "cohort/distribute/step_group.h"
#include "cohort/distribute/strategy.h"

namespace cohort {
class Device;
class Runtime;
}  // namespace cohort

namespace cohort::distribute {

/// The replicas of a strategy that this process carries.
struct ReplicaPart {
  std::vector<Device*> devices;
  std::vector<int> blocks;     ///< logical replicas of each device
  int first_replica = 0;       ///< this process' first among all
  int num_replicas = 1;        ///< of all processes
  Turns turns = Turns::kNone;  ///< of replicas, where some device, here or elsewhere, has several
  /// Device j of the d here carries replicas j, j + d, … in place of one behind the other. For one
  /// process.
  bool dealt = false;
  size_t bucket_bytes = size_t{4} << 20;
  DType gradient_dtype = DType::kF32;  ///< in which sums of f32 gradients travel between hosts
  std::shared_ptr<const std::string> job = nullptr;  ///< the strategy's name; null in one process
};

/// Runs a traced step on the replicas of this process: one thread for each device, the first
/// device on the caller's thread. Its collectives are prepared in `group`. `workers` outlives the
/// runner. Construction is collective.
std::unique_ptr<StepRunner> make_replica_runner(Runtime& runtime, const Trace& trace,
                                                const ReplicaPart& part, StepGroup& group,
                                                int64_t batch_size, Workers& workers);

}  // namespace cohort::distribute
