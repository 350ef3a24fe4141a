#include "cohort/core/ops/constant.h"

#include <cmath>
#include <limits>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/common.h"

namespace cohort::ops {
namespace {

Types infer_constant(const InferContext& in) {
  const Tensor& value = in.attrs().get<Tensor>("value");
  return {{value.dtype(), value.shape()}};
}

Types infer_fill(const InferContext& in) {
  return {{in.attrs().get<DType>("dtype"), in.attrs().get<Shape>("shape")}};
}

std::optional<double> constant_value(const Node& node) {
  const Tensor& value = node.attrs().get<Tensor>("value");
  if (value.num_elements() != 1 || !is_floating(value.dtype())) return std::nullopt;
  return value.item<double>();
}

std::optional<double> filled_value(const Node& node) { return node.attrs().get<double>("value"); }

Value fill_like(const Value& x, double value) {
  GraphScope scope(x.graph());
  return fill(x.shape(), x.dtype(), value);
}

/// x * 0.5 of integers would silently be x * 0.
double held(double value, DType dtype, std::string_view where) {
  const bool fits = visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (std::is_integral_v<T>)
      return value == std::trunc(value) &&
             value >= static_cast<double>(std::numeric_limits<T>::lowest()) &&
             value < std::ldexp(1.0, std::numeric_limits<T>::digits);
    else
      return true;
  });
  if (!fits)
    throw InvalidArgument("{}: got {} for {}; want a number that it holds (cast the other operand)",
                          where, value, dtype);
  return value;
}

}  // namespace

Value constant(const Tensor& value) {
  if (!value.defined())
    throw InvalidArgument("constant: got an undefined tensor; want one with a value");
  return record_source("Constant", {{"value", value.contiguous()}}, "constant");
}

Value scalar(double value, DType dtype) {
  return constant(Tensor::full(dtype, {}, held(value, dtype, "scalar")));
}

Value fill(Shape shape, DType dtype, double value) {
  held(value, dtype, "fill");
  return record_source("Fill", {{"shape", std::move(shape)}, {"dtype", dtype}, {"value", value}},
                       "fill");
}

Value zeros_like(Value x) { return fill_like(x, 0); }
Value ones_like(Value x) { return fill_like(x, 1); }

void register_constant(OpRegistry& ops) {
  ops.add({.name = "Constant",
           .num_inputs = 0,
           .infer = infer_constant,
           .gradient = no_gradient,
           .kind = OpKind::kSource,
           .source = Source::kConstant,
           .uniform_value = constant_value});
  ops.add({.name = "Fill",
           .num_inputs = 0,
           .infer = infer_fill,
           .gradient = no_gradient,
           .uniform_value = filled_value});
}

}  // namespace cohort::ops
