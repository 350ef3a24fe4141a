#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {

void register_kernels(KernelRegistry& kernels) {
  register_array(kernels);
  register_conv(kernels);
  register_elementwise(kernels);
  register_indexing(kernels);
  register_matmul(kernels);
  register_norm(kernels);
  register_pool(kernels);
  register_random(kernels);
  register_reduce(kernels);
  register_segments(kernels);
  register_slices(kernels);
  register_softmax(kernels);
  register_state(kernels);
  register_update(kernels);
}

}  // namespace cohort::cuda
