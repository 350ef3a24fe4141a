#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/window.h"

// Convolution straight from its definition: one thread for each element of the result. For what
// cuDNN does not take (doubles, odd groups), and to compare it with. Each enqueues its work and
// returns false when it does not take the dtype. Sums have one order.
namespace cohort::cuda {

bool conv_direct(DType dtype, const Window& w, const void* x, const void* kernel, void* y,
                 cudaStream_t stream);
bool conv_direct_input(DType dtype, const Window& w, const void* dy, const void* kernel, void* dx,
                       cudaStream_t stream);
/// A block for each element of the kernel's gradient.
bool conv_direct_kernel(DType dtype, const Window& w, const void* x, const void* dy, void* dkernel,
                        cudaStream_t stream);

}  // namespace cohort::cuda
