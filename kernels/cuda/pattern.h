#pragma once

#include <cstdint>

#include "cohort/core/dtype.h"

namespace cohort::cuda {

/// The bits of `value` converted to `dtype`, in the low bytes.
uint64_t bit_pattern(DType dtype, double value);

}  // namespace cohort::cuda
