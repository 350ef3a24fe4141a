#pragma once

#include <vector>

#include "cohort/core/runtime/kernel.h"
#include "cohort/kernels/cuda/walk.h"

namespace cohort::cuda {

/// The strides of a row-major array.
std::vector<int64_t> row_major_strides(std::span<const int64_t> sizes);
/// `inputs` broadcast to `output`, which is written in order.
Walk broadcast_walk(const Shape& output, std::span<const Operand> inputs);

}  // namespace cohort::cuda
