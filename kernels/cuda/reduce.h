#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/reduction.h"

namespace cohort::cuda {

enum class ReduceKind { kSum, kMean, kProd, kMax, kMin };

/// Partial results are at most this large.
inline constexpr size_t kReducedBytes = 8;

/// y = x reduced; 16-bit floats are combined as float. Bools count as u8: any is kMax, all kMin.
/// `empty` is the value of no elements, which the reduction starts with. Enqueues it; false when
/// the dtype is not taken.
bool reduce(ReduceKind kind, DType dtype, const Reduction& reduction, double empty, const void* x,
            void* y, void* workspace, cudaStream_t stream);

}  // namespace cohort::cuda
