#pragma once

#include "cohort/core/shape.h"

namespace cohort::nn::internal {

/// Whether values of these shapes meet row by row: equal ranks and rows; behind the rows dimensions
/// are equal or one of them is 1.
inline bool broadcast_by_rows(const Shape& a, const Shape& b) {
  if (a.rank() != b.rank() || a.rank() == 0 || a[0] != b[0]) return false;
  for (int axis = 1; axis < a.rank(); ++axis)
    if (a[axis] != b[axis] && !(a[axis] == 1) && !(b[axis] == 1)) return false;
  return true;
}

}  // namespace cohort::nn::internal
