#include "cohort/kernels/cpu/onednn/register.h"

#include "cohort/kernels/cpu/register.h"

namespace cohort::cpu {

void register_onednn_kernels(KernelRegistry& registry) {
  onednn::register_conv(registry);
  onednn::register_conv_gradients(registry);
}

}  // namespace cohort::cpu
