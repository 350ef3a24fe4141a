#pragma once

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu::onednn {

inline constexpr std::string_view kOneDnn = "onednn";

// One for each file of this folder.
void register_conv(KernelRegistry& registry);
void register_conv_gradients(KernelRegistry& registry);

}  // namespace cohort::cpu::onednn
