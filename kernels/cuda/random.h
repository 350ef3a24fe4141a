#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/core/runtime/step_state.h"

namespace cohort::cuda {

/// Where a random op's numbers come from (core/ops/random.h). `step` is device memory.
struct RandomSource {
  const StepState* step;
  int64_t seed;          ///< negative: the step's
  uint64_t stream;       ///< philox_stream of the op's stream
  int64_t row_elements;  ///< of a batch; 0: not a batch, the same on every replica
};

// Each enqueues its work on n elements and returns false when it does not take the dtype.

/// y = x * scale where the element is kept, else 0.
bool dropout(DType dtype, RandomSource source, uint32_t threshold, double scale, const void* x,
             void* y, int64_t n, cudaStream_t stream);
bool random_uniform(DType dtype, RandomSource source, double low, double high, void* y, int64_t n,
                    cudaStream_t stream);
bool random_normal(DType dtype, RandomSource source, double mean, double stddev, void* y, int64_t n,
                   cudaStream_t stream);

}  // namespace cohort::cuda
