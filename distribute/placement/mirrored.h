#pragma once

#include <cstdint>

#include "cohort/core/runtime/function.h"
#include "cohort/distribute/placement/lowering.h"

namespace cohort::distribute {

/// How many rows a replica may have in a step, as far as that is known when the step is placed.
struct StepRows {
  int num_replicas = 1;
  int64_t batch_size = 0;  ///< of full global batches; 0: not known
};

/// Every replica updates its whole copy of every variable: what stands together in the trace is
/// reduced by one all_reduce, which the compiler cuts into buckets. Slices are gathered, and added
/// row by row, where that sends fewer bytes than adding them as a dense tensor and the most rows of
/// a replica are known; the sums have the same bits either way. One replica reduces nothing.
class MirroredLowering : public Lowering {
 public:
  MirroredLowering(const Trace& trace, const StepRows& rows) : Lowering(trace), rows_(rows) {}

 protected:
  std::vector<Gradient> reduce(ops::ReduceOp op, const std::vector<Term>& terms) override;
  /// What each device has once, whatever number of replicas it carries: 0 in all of its replicas
  /// but the first, so that a sum over replicas is one over devices, with the same bits. `firsts`:
  /// the first replica of each device.
  std::vector<Value> once_on_each_device(std::vector<Value> values,
                                         const std::vector<int64_t>& firsts) const;

 private:
  const StepRows rows_;
};
Trace place_mirrored(const Trace& trace, const StepRows& rows);

}  // namespace cohort::distribute
