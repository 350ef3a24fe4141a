#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/ops/collective.h"

namespace cohort::distribute {

/// to[i] = to[i] op from[i] for i in [0, num_elements). kMean adds. Half types are added in f32 and
/// rounded once.
void reduce_into(void* to, const void* from, int64_t num_elements, DType dtype, ops::ReduceOp op);

}  // namespace cohort::distribute
