#pragma once

#include <cstdint>

#include "cohort/core/dtype.h"

namespace cohort::data {

/// to[i] = from[i] * scale, converted; `count` elements. `scale` is ignored unless `to_dtype` is
/// floating. Regions do not overlap.
void convert(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t count,
             double scale);

}  // namespace cohort::data
