#pragma once

#include "cohort/cohort.h"

namespace outside {

/// y = x * x * x, elementwise, for f32. Op "outside.Cube".
cohort::Value cube(cohort::Value x);

/// Teaches `runtime` the op and its CPU kernel. Call it before cube().
void register_cube(cohort::Runtime& runtime);

}  // namespace outside
