#pragma once

#include "core/runtime/kernel.h"

namespace cohort::cpu {

/// Adds every CPU kernel. For each op the fast implementations come first, the plain one, which takes
/// every case, last.
void register_cpu_kernels(KernelRegistry& registry);

/// kernels/cpu/plain: one definition for every case, in plain loops.
void register_plain_kernels(KernelRegistry& registry);

}  // namespace cohort::cpu
