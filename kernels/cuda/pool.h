#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/window.h"

// Pooling as core/ops/pool.h defines it. Each enqueues its work and returns false when it does not
// take the dtype. Every element of a gradient is gathered by one thread, so sums have one order.
namespace cohort::cuda {

bool max_pool(DType dtype, const Window& w, const void* x, void* y, uint8_t* where,
              cudaStream_t stream);
bool max_pool_grad(DType dtype, const Window& w, const void* dy, const uint8_t* where, void* dx,
                   cudaStream_t stream);
bool avg_pool(DType dtype, const Window& w, const void* x, void* y, cudaStream_t stream);
bool avg_pool_grad(DType dtype, const Window& w, const void* dy, void* dx, cudaStream_t stream);

}  // namespace cohort::cuda
