#pragma once

#include "cohort/core/graph/op.h"

/// Sources of values. Every builder in core/ops records one node (or a few) in the graph of its
/// inputs; these need no input and go to the graph being traced (core/graph/scope.h).
namespace cohort::ops {

/// Op "Constant": () -> [..]. Attr "value": Tensor.
Value constant(const Tensor& value);
/// A scalar of `dtype`. Here and in fill: InvalidArgument for integers that do not hold `value`.
Value scalar(double value, DType dtype);
/// Op "Fill": () -> shape. Attrs "shape", "dtype", "value" (f64). Symbols are allowed in `shape`.
Value fill(Shape shape, DType dtype, double value);
Value zeros_like(Value x);
Value ones_like(Value x);

void register_constant(OpRegistry& ops);

}  // namespace cohort::ops
