#include "kernels/cuda/register.h"

namespace cohort::cuda {

void register_kernels(KernelRegistry& kernels) {
  register_array(kernels);
  register_elementwise(kernels);
}

}  // namespace cohort::cuda
