#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/fault.h"

// Along the last axis of [rows, K]. Each enqueues its work and returns false when it does not take
// the dtype.
namespace cohort::cuda {

bool softmax(DType dtype, bool logarithm, int64_t rows, int64_t classes, const void* x, void* y,
             cudaStream_t stream);
/// loss [rows], backprop [rows, K]. labels: [rows] of i32, i64 or u8; one outside 0 … K - 1 is
/// reported as `site` (got, row, K - 1) and gives its row a loss of 0.
bool sparse_cross_entropy(DType dtype, DType label_type, int64_t rows, int64_t classes,
                          const void* logits, const void* labels, void* loss, void* backprop,
                          Fault* fault, int site, cudaStream_t stream);
/// labels: [rows, K] of the logits' type.
bool dense_cross_entropy(DType dtype, int64_t rows, int64_t classes, const void* logits,
                         const void* labels, void* loss, void* backprop, cudaStream_t stream);

}  // namespace cohort::cuda
