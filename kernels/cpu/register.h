#pragma once

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu {

/// Adds every CPU kernel. For each op the fast implementations come first, the plain one, which
/// takes every case, last.
void register_cpu_kernels(KernelRegistry& registry);

/// kernels/cpu/onednn: f32 convolutions. Nothing in a build without oneDNN (no_onednn).
void register_onednn_kernels(KernelRegistry& registry);
/// kernels/cpu/vector: f32 and f64 by the routines of kernels/cpu/simd.
void register_vector_kernels(KernelRegistry& registry);
/// kernels/cpu/plain: one definition for every case, in plain loops.
void register_plain_kernels(KernelRegistry& registry);

}  // namespace cohort::cpu
