#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/reduction.h"

namespace cohort::cuda {

/// x [M, C] and its statistics. Parameters and statistics are of type `parameters`: x's, or f32
/// beside a 16-bit x.
struct BatchNormShape {
  DType dtype;
  DType parameters;
  int64_t rows;
  int64_t channels;
  double epsilon;
  Reduction reduction;  ///< over the rows
};

/// Partial results of one channel are at most this large.
inline constexpr size_t kNormBytes = 16;

// Both enqueue their work and return false when they do not take the types.

/// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta by the batch's own statistics.
bool batch_norm(const BatchNormShape& shape, const void* x, const void* gamma, const void* beta,
                void* y, void* mean, void* variance, void* workspace, cudaStream_t stream);
bool batch_norm_grad(const BatchNormShape& shape, const void* dy, const void* x, const void* gamma,
                     const void* mean, const void* variance, void* dx, void* dgamma, void* dbeta,
                     void* workspace, cudaStream_t stream);

}  // namespace cohort::cuda
