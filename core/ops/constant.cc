#include "core/ops/constant.h"

#include "core/graph/scope.h"
#include "core/ops/common.h"

namespace cohort::ops {
namespace {

Types infer_constant(const InferContext& in) {
  const Tensor& value = in.attrs().get<Tensor>("value");
  return {{value.dtype(), value.shape()}};
}

Types infer_fill(const InferContext& in) {
  return {{in.attrs().get<DType>("dtype"), in.attrs().get<Shape>("shape")}};
}

Value fill_like(const Value& x, double value) {
  GraphScope scope(x.graph());
  return fill(x.shape(), x.dtype(), value);
}

}  // namespace

Value constant(const Tensor& value) {
  if (!value.defined())
    throw InvalidArgument("constant: got an undefined tensor; want one with a value");
  return record_source("Constant", {{"value", value.contiguous()}}, "constant");
}

Value scalar(double value, DType dtype) { return constant(Tensor::full(dtype, {}, value)); }

Value fill(Shape shape, DType dtype, double value) {
  return record_source("Fill", {{"shape", std::move(shape)}, {"dtype", dtype}, {"value", value}},
                       "fill");
}

Value zeros_like(Value x) { return fill_like(x, 0); }
Value ones_like(Value x) { return fill_like(x, 1); }

void register_constant(OpRegistry& ops) {
  ops.add({.name = "Constant", .num_inputs = 0, .infer = infer_constant, .gradient = no_gradient});
  ops.add({.name = "Fill", .num_inputs = 0, .infer = infer_fill, .gradient = no_gradient});
}

}  // namespace cohort::ops
