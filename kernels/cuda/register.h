#pragma once

#include "cohort/core/runtime/kernel.h"

namespace cohort::cuda {

// One for each source beside this one that makes kernels.
void register_array(KernelRegistry& kernels);
void register_conv(KernelRegistry& kernels);
void register_elementwise(KernelRegistry& kernels);
void register_indexing(KernelRegistry& kernels);
void register_matmul(KernelRegistry& kernels);
void register_norm(KernelRegistry& kernels);
void register_pool(KernelRegistry& kernels);
void register_random(KernelRegistry& kernels);
void register_reduce(KernelRegistry& kernels);
void register_segments(KernelRegistry& kernels);
void register_slices(KernelRegistry& kernels);
void register_softmax(KernelRegistry& kernels);
void register_state(KernelRegistry& kernels);
void register_update(KernelRegistry& kernels);

/// All of them.
void register_kernels(KernelRegistry& kernels);

}  // namespace cohort::cuda
