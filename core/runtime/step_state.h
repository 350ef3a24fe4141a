#pragma once

#include <cstdint>

namespace cohort {

/// What changes from step to step. It lies in the memory of the device that runs the step, and
/// kernels read it there: it is never baked into a kernel or a captured graph.
struct StepState {
  uint64_t seed = 0;
  int64_t step = 0;        ///< of the function, from 0
  int64_t micro_step = 0;  ///< position within an accumulated step
  int64_t replica_id = 0;  ///< logical replica, in sync group order
  int64_t num_replicas = 1;
  int64_t rows = 0;         ///< of this replica's batch
  int64_t row_offset = 0;   ///< of its first row in the global batch
  int64_t global_rows = 0;  ///< of the global batch
};

}  // namespace cohort
