#include "cohort/kernels/cpu/register.h"

#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu {

void register_vector_kernels(KernelRegistry& registry) {
  vector::register_activation(registry);
  vector::register_arithmetic(registry);
  vector::register_conv(registry);
  vector::register_matmul(registry);
  vector::register_norm(registry);
  vector::register_pool(registry);
  vector::register_random(registry);
  vector::register_reduce(registry);
  vector::register_softmax(registry);
  vector::register_element_update(registry);
  vector::register_update(registry);
}

}  // namespace cohort::cpu
