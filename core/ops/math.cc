#include "cohort/core/ops/math.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/reduce.h"

namespace cohort::ops {
namespace {

Types infer_select(const InferContext& in) {
  want_dtype(in, 0, DType::kBool, "where: condition");
  if (in.dtype(1) != in.dtype(2))
    throw InvalidArgument("where: got {} {} and {} {}; want equal dtypes (cast one)", in.dtype(1),
                          in.shape(1), in.dtype(2), in.shape(2));
  const Shape branches = broadcast(in.shape(1), in.shape(2), "where");
  return {{in.dtype(1), broadcast(in.shape(0), branches, "where")}};
}

Gradients gradient_select(const Node& node, std::span<const Gradient> dy) {
  const Value condition = node.input(0), d = dy[0].dense(), zero = number_like(d, 0);
  return {Gradient(), sum_to_shape(where(condition, d, zero), node.input(1).shape()),
          sum_to_shape(where(condition, zero, d), node.input(2).shape())};
}

Types infer_fma(const InferContext& in) {
  want_floating(in, 0, "fma");
  want_same_dtypes(in, "fma");
  return {{in.dtype(0), broadcast(broadcast(in.shape(0), in.shape(1), "fma"), in.shape(2), "fma")}};
}

// da = dy b;  db = dy a;  dc = dy.
Gradients gradient_fma(const Node& node, std::span<const Gradient> dy) {
  const Value a = node.input(0), b = node.input(1), d = dy[0].dense();
  return {sum_to_shape(d * b, a.shape()), sum_to_shape(d * a, b.shape()),
          sum_to_shape(d, node.input(2).shape())};
}

Types infer_cast(const InferContext& in) { return {{in.attrs().get<DType>("dtype"), in.shape(0)}}; }

Gradients gradient_cast(const Node& node, std::span<const Gradient> dy) {
  const DType from = node.input(0).dtype(), to = node.attrs().get<DType>("dtype");
  if (!is_floating(from) || !is_floating(to)) return {};
  return {cast(dy[0].dense(), from)};
}

Gradients gradient_identity(const Node&, std::span<const Gradient> dy) { return {dy[0]}; }

template <Text kName>
Types infer_backward(const InferContext& in) {
  want_numeric(in, 0, kName.view());
  want_same_dtypes(in, kName.view());
  if (in.shape(0) != in.shape(1))
    throw InvalidArgument("{}: got dy {}, y {}; want equal shapes", kName.view(), in.shape(0),
                          in.shape(1));
  return {in.input(0)};
}

// With g the gradient of the result. y enters ReluGrad only through its sign.
Gradients gradient_relu_grad(const Node& node, std::span<const Gradient> g) {
  return {relu_grad(g[0].dense(), node.input(1)), Gradient()};
}

Gradients gradient_sigmoid_grad(const Node& node, std::span<const Gradient> g) {
  const Value dy = node.input(0), y = node.input(1), d = g[0].dense();
  return {sigmoid_grad(d, y), d * dy * (1 - y * 2)};
}

Gradients gradient_tanh_grad(const Node& node, std::span<const Gradient> g) {
  const Value dy = node.input(0), y = node.input(1), d = g[0].dense();
  return {tanh_grad(d, y), d * dy * y * -2};
}

Types infer_add_n(const InferContext& in) {
  want_inputs(in, 1, "add_n");
  want_numeric(in, 0, "add_n");
  want_same_dtypes(in, "add_n");
  for (int i = 1; i < in.num_inputs(); ++i)
    if (in.shape(i) != in.shape(0))
      throw InvalidArgument("add_n: got shapes {} and {}; want equal shapes", in.shape(0),
                            in.shape(i));
  return {in.input(0)};
}

Gradients gradient_add_n(const Node& node, std::span<const Gradient> dy) {
  return Gradients(node.inputs().size(), dy[0]);
}

}  // namespace

Value fma(Value a, Value b, Value c) { return record("Fma", {a, b, c}); }
Value fma(Value a, double b, Value c) { return fma(a, number_like(a, b), c); }
Value where(Value condition, Value a, Value b) { return record("Select", {condition, a, b}); }
Value cast(Value x, DType dtype) {
  return x.dtype() == dtype ? x : record("Cast", {x}, {{"dtype", dtype}});
}
Value stop_gradient(Value x) { return record("StopGradient", {x}); }
Value identity(Value x) { return record("Identity", {x}); }
Value relu_grad(Value dy, Value y) { return record("ReluGrad", {dy, y}); }
Value sigmoid_grad(Value dy, Value y) { return record("SigmoidGrad", {dy, y}); }
Value tanh_grad(Value dy, Value y) { return record("TanhGrad", {dy, y}); }

Value clip(Value x, double low, double high) {
  if (!(low <= high))
    throw InvalidArgument("clip: got low {}, high {}; want low not above high", low, high);
  return minimum(maximum(x, number_like(x, low)), number_like(x, high));
}

Value add_n(std::span<const Value> values) {
  if (values.empty()) throw InvalidArgument("add_n: got 0 values; want at least 1");
  return record("AddN", std::vector<Value>(values.begin(), values.end()));
}

void register_math(OpRegistry& ops) {
  register_unary(ops);
  register_binary(ops);
  ops.add({.name = "Select",
           .num_inputs = 3,
           .infer = infer_select,
           .gradient = gradient_select,
           .elementwise = true});
  ops.add({.name = "Fma",
           .num_inputs = 3,
           .infer = infer_fma,
           .gradient = gradient_fma,
           .elementwise = true});
  ops.add({.name = "Cast",
           .num_inputs = 1,
           .infer = infer_cast,
           .gradient = gradient_cast,
           .elementwise = true,
           .is_identity = keeps_type});
  ops.add({.name = "StopGradient",
           .num_inputs = 1,
           .infer = same_as_first,
           .gradient = no_gradient,
           .kind = OpKind::kAlias});
  ops.add({.name = "Identity",
           .num_inputs = 1,
           .infer = same_as_first,
           .gradient = gradient_identity,
           .kind = OpKind::kAlias});
  ops.add({.name = "ReluGrad",
           .num_inputs = 2,
           .infer = infer_backward<"relu_grad">,
           .gradient = gradient_relu_grad,
           .elementwise = true});
  ops.add({.name = "SigmoidGrad",
           .num_inputs = 2,
           .infer = infer_backward<"sigmoid_grad">,
           .gradient = gradient_sigmoid_grad,
           .elementwise = true});
  ops.add({.name = "TanhGrad",
           .num_inputs = 2,
           .infer = infer_backward<"tanh_grad">,
           .gradient = gradient_tanh_grad,
           .elementwise = true});
  ops.add({.name = "AddN",
           .num_inputs = -1,
           .infer = infer_add_n,
           .gradient = gradient_add_n,
           .elementwise = true});
}

}  // namespace cohort::ops

namespace cohort {

using ops::number_like;

Value operator-(Value x) { return ops::neg(x); }
Value operator+(Value a, Value b) { return ops::add(a, b); }
Value operator-(Value a, Value b) { return ops::sub(a, b); }
Value operator*(Value a, Value b) { return ops::mul(a, b); }
Value operator/(Value a, Value b) { return ops::div(a, b); }
Value operator+(Value a, double b) { return ops::add(a, number_like(a, b)); }
Value operator-(Value a, double b) { return ops::sub(a, number_like(a, b)); }
Value operator*(Value a, double b) { return ops::mul(a, number_like(a, b)); }
Value operator/(Value a, double b) { return ops::div(a, number_like(a, b)); }
Value operator+(double a, Value b) { return ops::add(number_like(b, a), b); }
Value operator-(double a, Value b) { return ops::sub(number_like(b, a), b); }
Value operator*(double a, Value b) { return ops::mul(number_like(b, a), b); }
Value operator/(double a, Value b) { return ops::div(number_like(b, a), b); }

}  // namespace cohort
