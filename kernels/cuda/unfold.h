#pragma once

#include <cuda_runtime_api.h>

#include "cohort/kernels/cuda/window.h"

// What a convolution's windows see, as a matrix: its row (image, oh, ow) has KH * KW * C columns,
// in the order of the kernel's elements, and is 0 where the window looks at padding. Images and
// matrices have fewer than 2^31 elements, all windows one group.
namespace cohort::cuda {

/// Elements of 4 bytes: image [N, H, W, C] to matrix [N * OH * OW, KH * KW * C].
void unfold(const Window& w, const void* image, void* matrix, cudaStream_t stream);
/// The other way: each element of the image becomes the sum of all that unfold makes of it, in the
/// order of the window's places.
void fold(const Window& w, const float* matrix, float* image, cudaStream_t stream);

}  // namespace cohort::cuda
