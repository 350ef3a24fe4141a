#pragma once

#include <cstdint>

#include "cohort/core/dtype.h"
#include "cohort/core/ops/collective.h"

namespace cohort::distribute {

/// to[i] = to[i] op from[i] for i in [0, num_elements). kMean adds. Half types are added in f32 and
/// rounded once.
void reduce_into(void* to, const void* from, int64_t num_elements, DType dtype, ops::ReduceOp op);
/// to[i] = a[i] op b[i]; `to` is apart from `a` and `b` or equal to one of them.
void reduce_pair(void* to, const void* a, const void* b, int64_t num_elements, DType dtype,
                 ops::ReduceOp op);
/// values[i] = values[i] / divisor. Integers round towards zero, half types are divided in f32.
void divide_by(void* values, int64_t num_elements, DType dtype, int64_t divisor);

}  // namespace cohort::distribute
