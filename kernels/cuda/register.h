#pragma once

#include "core/runtime/kernel.h"

namespace cohort::cuda {

// One for each source beside this one that makes kernels.
void register_array(KernelRegistry& kernels);
void register_elementwise(KernelRegistry& kernels);

/// All of them.
void register_kernels(KernelRegistry& kernels);

}  // namespace cohort::cuda
