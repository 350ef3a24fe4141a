#pragma once

#include "cohort/core/graph/attr.h"
#include "cohort/core/shape.h"
#include "cohort/kernels/cuda/window.h"

namespace cohort::cuda {

/// From the attributes of core/ops/conv.h.
Window conv_window(const Attrs& attrs, const Shape& image, const Shape& kernel,
                   const Shape& output);
/// From those of core/ops/pool.h.
Window pool_window(const Attrs& attrs, const Shape& image, const Shape& output);

}  // namespace cohort::cuda
