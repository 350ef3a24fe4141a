#include "cohort/kernels/cpu/register.h"

namespace cohort::cpu {

void register_cpu_kernels(KernelRegistry& registry) {
  register_onednn_kernels(registry);
  register_vector_kernels(registry);
  register_plain_kernels(registry);
}

}  // namespace cohort::cpu
