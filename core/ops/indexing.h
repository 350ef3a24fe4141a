#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

/// Rows of a table: params [K, ...], indices [...] (i32 or i64) -> [indices..., ...]. Op "Gather".
/// An index outside 0 … K-1 is an OutOfRange at run time that names the index and K. Its gradient
/// is Slices.
Value gather(Value params, Value indices);
/// Op "SlicesToDense": (indices, values) -> dense_shape; attr "shape". Equal indices add, in order;
/// rows of index -1 are left out.
Value slices_to_dense(const Slices& slices);
/// Op "OneHot": indices [...] -> [..., depth]; attrs "depth", "dtype", "on_value", "off_value". An
/// index outside gives a row of off_value.
Value one_hot(Value indices, int64_t depth, DType dtype = DType::kF32, double on_value = 1,
              double off_value = 0);
/// Op "ArgMax": the first index of the largest element along `axis`, i64; attr "axis".
Value argmax(Value x, int64_t axis);

void register_indexing(OpRegistry& ops);

}  // namespace cohort::ops
