#include "cohort/kernels/cpu/register.h"

namespace cohort::cpu {

void register_onednn_kernels(KernelRegistry&) {}

}  // namespace cohort::cpu
