#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

struct ReduceOptions {
  std::vector<int64_t> axis = {};  ///< empty: all axes; negative counts from the end
  bool keepdims = false;
};

/// Ops "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceAny", "ReduceAll";
/// attrs "axis" (normalised, ascending), "keepdims". Sums run in a fixed order, the same for any
/// number of threads. Empty input: sum 0, mean NaN, max -inf (lowest for integers), prod 1. The
/// last two take bool.
Value reduce_sum(Value x, ReduceOptions options = {});
Value reduce_mean(Value x, ReduceOptions options = {});
Value reduce_max(Value x, ReduceOptions options = {});
Value reduce_min(Value x, ReduceOptions options = {});
Value reduce_prod(Value x, ReduceOptions options = {});
Value reduce_any(Value x, ReduceOptions options = {});
Value reduce_all(Value x, ReduceOptions options = {});

/// Sums `x` down to `shape`: the gradient of broadcasting `shape` to x's. Built from reduce_sum and
/// reshape.
Value sum_to_shape(Value x, const Shape& shape);

void register_reduce(OpRegistry& ops);

}  // namespace cohort::ops
