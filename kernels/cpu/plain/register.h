#pragma once

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu::plain {

inline constexpr std::string_view kPlain = "plain";

// One for each file of this folder.
void register_unary(KernelRegistry& registry);
void register_binary(KernelRegistry& registry);
void register_select(KernelRegistry& registry);
void register_fused(KernelRegistry& registry);
void register_array(KernelRegistry& registry);
void register_copy(KernelRegistry& registry);
void register_reduce(KernelRegistry& registry);
void register_wide(KernelRegistry& registry);
void register_matmul(KernelRegistry& registry);
void register_conv(KernelRegistry& registry);
void register_pool(KernelRegistry& registry);
void register_norm(KernelRegistry& registry);
void register_softmax(KernelRegistry& registry);
void register_indexing(KernelRegistry& registry);
void register_slices(KernelRegistry& registry);
void register_segments(KernelRegistry& registry);
void register_random(KernelRegistry& registry);
void register_state(KernelRegistry& registry);
void register_update(KernelRegistry& registry);
void register_elementwise_update(KernelRegistry& registry);
void register_rows_update(KernelRegistry& registry);

}  // namespace cohort::cpu::plain
