#include <numbers>

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/math.h"

// y = f(x), elementwise. The gradient rules use y where the forward pass has it anyway.
namespace cohort::ops {
namespace {

template <Text kName>
Types infer_floating_unary(const InferContext& in) {
  want_floating(in, 0, kName.view());
  return {in.input(0)};
}

template <Text kName>
Types infer_numeric_unary(const InferContext& in) {
  want_numeric(in, 0, kName.view());
  return {in.input(0)};
}

Types infer_is_finite(const InferContext& in) {
  want_floating(in, 0, "is_finite");
  return {{DType::kBool, in.shape(0)}};
}

Types infer_logical_not(const InferContext& in) {
  want_dtype(in, 0, DType::kBool, "logical_not");
  return {in.input(0)};
}

// dx = dy f'(x), with f' given as a function of x and y.
template <Value (*derivative)(Value x, Value y)>
Gradients times_derivative(const Node& node, std::span<const Gradient> dy) {
  return {mul(dy[0].dense(), derivative(node.input(0), output_of(node)))};
}

Value d_abs(Value x, Value) { return sign(x); }
Value d_exp(Value, Value y) { return y; }
Value d_expm1(Value, Value y) { return y + 1; }
Value d_rsqrt(Value x, Value y) { return y / x * -0.5; }
Value d_square(Value x, Value) { return x * 2; }
Value d_reciprocal(Value, Value y) { return -square(y); }
Value d_sin(Value x, Value) { return cos(x); }
Value d_cos(Value x, Value) { return -sin(x); }
Value d_erf(Value x, Value) {
  return exp(-square(x)) * (2 * std::numbers::inv_sqrtpi);  // 2 / sqrt(pi) e^(-x^2)
}
Value d_softplus(Value x, Value) { return sigmoid(x); }

Gradients gradient_neg(const Node&, std::span<const Gradient> dy) { return {neg(dy[0].dense())}; }
Gradients gradient_log(const Node& node, std::span<const Gradient> dy) {
  return {dy[0].dense() / node.input(0)};
}
Gradients gradient_log1p(const Node& node, std::span<const Gradient> dy) {
  return {dy[0].dense() / (node.input(0) + 1)};
}
Gradients gradient_sqrt(const Node& node, std::span<const Gradient> dy) {
  return {dy[0].dense() * 0.5 / output_of(node)};
}
Gradients gradient_relu(const Node& node, std::span<const Gradient> dy) {
  return {relu_grad(dy[0].dense(), output_of(node))};
}
Gradients gradient_sigmoid(const Node& node, std::span<const Gradient> dy) {
  return {sigmoid_grad(dy[0].dense(), output_of(node))};
}
Gradients gradient_tanh(const Node& node, std::span<const Gradient> dy) {
  return {tanh_grad(dy[0].dense(), output_of(node))};
}

template <Text kOp, Text kName>
void add_floating(OpRegistry& ops, Gradients (*gradient)(const Node&, std::span<const Gradient>)) {
  ops.add({.name = std::string(kOp.view()),
           .num_inputs = 1,
           .infer = infer_floating_unary<kName>,
           .gradient = gradient,
           .elementwise = true});
}

template <Text kOp, Text kName>
void add_numeric(OpRegistry& ops, Gradients (*gradient)(const Node&, std::span<const Gradient>)) {
  ops.add({.name = std::string(kOp.view()),
           .num_inputs = 1,
           .infer = infer_numeric_unary<kName>,
           .gradient = gradient,
           .elementwise = true});
}

}  // namespace

Value neg(Value x) { return record("Neg", {x}); }
Value abs(Value x) { return record("Abs", {x}); }
Value sign(Value x) { return record("Sign", {x}); }
Value exp(Value x) { return record("Exp", {x}); }
Value expm1(Value x) { return record("Expm1", {x}); }
Value log(Value x) { return record("Log", {x}); }
Value log1p(Value x) { return record("Log1p", {x}); }
Value sqrt(Value x) { return record("Sqrt", {x}); }
Value rsqrt(Value x) { return record("Rsqrt", {x}); }
Value square(Value x) { return record("Square", {x}); }
Value reciprocal(Value x) { return record("Reciprocal", {x}); }
Value sin(Value x) { return record("Sin", {x}); }
Value cos(Value x) { return record("Cos", {x}); }
Value tanh(Value x) { return record("Tanh", {x}); }
Value sigmoid(Value x) { return record("Sigmoid", {x}); }
Value erf(Value x) { return record("Erf", {x}); }
Value relu(Value x) { return record("Relu", {x}); }
Value softplus(Value x) { return record("Softplus", {x}); }
Value floor(Value x) { return record("Floor", {x}); }
Value ceil(Value x) { return record("Ceil", {x}); }
Value round(Value x) { return record("Round", {x}); }
Value is_finite(Value x) { return record("IsFinite", {x}); }
Value logical_not(Value x) { return record("LogicalNot", {x}); }

void register_unary(OpRegistry& ops) {
  add_numeric<"Neg", "neg">(ops, gradient_neg);
  add_numeric<"Abs", "abs">(ops, times_derivative<d_abs>);
  add_numeric<"Sign", "sign">(ops, no_gradient);
  add_numeric<"Square", "square">(ops, times_derivative<d_square>);
  add_numeric<"Relu", "relu">(ops, gradient_relu);
  add_floating<"Exp", "exp">(ops, times_derivative<d_exp>);
  add_floating<"Expm1", "expm1">(ops, times_derivative<d_expm1>);
  add_floating<"Log", "log">(ops, gradient_log);
  add_floating<"Log1p", "log1p">(ops, gradient_log1p);
  add_floating<"Sqrt", "sqrt">(ops, gradient_sqrt);
  add_floating<"Rsqrt", "rsqrt">(ops, times_derivative<d_rsqrt>);
  add_floating<"Reciprocal", "reciprocal">(ops, times_derivative<d_reciprocal>);
  add_floating<"Sin", "sin">(ops, times_derivative<d_sin>);
  add_floating<"Cos", "cos">(ops, times_derivative<d_cos>);
  add_floating<"Tanh", "tanh">(ops, gradient_tanh);
  add_floating<"Sigmoid", "sigmoid">(ops, gradient_sigmoid);
  add_floating<"Erf", "erf">(ops, times_derivative<d_erf>);
  add_floating<"Softplus", "softplus">(ops, times_derivative<d_softplus>);
  add_floating<"Floor", "floor">(ops, no_gradient);
  add_floating<"Ceil", "ceil">(ops, no_gradient);
  add_floating<"Round", "round">(ops, no_gradient);
  ops.add({.name = "IsFinite",
           .num_inputs = 1,
           .infer = infer_is_finite,
           .gradient = no_gradient,
           .elementwise = true});
  ops.add({.name = "LogicalNot",
           .num_inputs = 1,
           .infer = infer_logical_not,
           .gradient = no_gradient,
           .elementwise = true});
}

}  // namespace cohort::ops
