#include "cohort/core/ops/common.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"

// y = f(a, b), elementwise with broadcasting. Each gradient is summed down to its operand's shape.
namespace cohort::ops {
namespace {

Types infer_broadcast(const InferContext& in, DType result, std::string_view where) {
  want_same_dtypes(in, where);
  return {{result, broadcast(in.shape(0), in.shape(1), where)}};
}

template <Text kName>
Types infer_arithmetic(const InferContext& in) {
  want_numeric(in, 0, kName.view());
  return infer_broadcast(in, in.dtype(0), kName.view());
}

template <Text kName>
Types infer_floating_binary(const InferContext& in) {
  want_floating(in, 0, kName.view());
  return infer_broadcast(in, in.dtype(0), kName.view());
}

template <Text kName>
Types infer_comparison(const InferContext& in) {
  want_numeric(in, 0, kName.view());
  return infer_broadcast(in, DType::kBool, kName.view());
}

template <Text kName>
Types infer_equality(const InferContext& in) {
  return infer_broadcast(in, DType::kBool, kName.view());
}

template <Text kName>
Types infer_logical(const InferContext& in) {
  want_dtype(in, 0, DType::kBool, kName.view());
  return infer_broadcast(in, DType::kBool, kName.view());
}

/// Inputs and gradient of one binary node.
struct BinaryParts {
  Value a, b, y, dy;
  BinaryParts(const Node& node, std::span<const Gradient> gradient)
      : a(node.input(0)), b(node.input(1)), y(output_of(node)), dy(gradient[0].dense()) {}
  Gradients summed(Value da, Value db) const {
    return {sum_to_shape(da, a.shape()), sum_to_shape(db, b.shape())};
  }
  Value zero() const { return number_like(dy, 0); }
};

Gradients gradient_add(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  return p.summed(p.dy, p.dy);
}

// The negation stands after the sum, which makes it as small as b.
Gradients gradient_sub(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  return {sum_to_shape(p.dy, p.a.shape()), neg(sum_to_shape(p.dy, p.b.shape()))};
}

Gradients gradient_mul(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  return p.summed(p.dy * p.b, p.dy * p.a);
}

// da = dy / b;  db = -dy a / b^2 = -da y.
Gradients gradient_div(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  const Value da = p.dy / p.b;
  return {sum_to_shape(da, p.a.shape()), neg(sum_to_shape(da * p.y, p.b.shape()))};
}

// da = dy b a^(b - 1), 0 where b = 0;  db = dy y log a, 0 where a <= 0 (there it does not exist).
Gradients gradient_pow(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  const Value one = number_like(p.a, 1);
  const Value exponent = where(equal(p.b, p.zero()), one, p.b - 1);
  const Value positive = greater(p.a, p.zero());
  const Value da = p.dy * p.b * pow(p.a, exponent);
  const Value db = where(positive, p.dy * p.y * log(where(positive, p.a, one)), p.zero());
  return p.summed(da, db);
}

Gradients choose(const BinaryParts& p, Value a_wins) {
  return p.summed(where(a_wins, p.dy, p.zero()), where(a_wins, p.zero(), p.dy));
}

Gradients gradient_maximum(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  return choose(p, greater_equal(p.a, p.b));
}

Gradients gradient_minimum(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  return choose(p, less_equal(p.a, p.b));
}

// da = 2 dy (a - b) = -db.
Gradients gradient_squared_difference(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  const Value da = p.dy * ((p.a - p.b) * 2);
  return {sum_to_shape(da, p.a.shape()), neg(sum_to_shape(da, p.b.shape()))};
}

// y = a - b floor(a / b).
Gradients gradient_floor_mod(const Node& node, std::span<const Gradient> dy) {
  const BinaryParts p(node, dy);
  if (!is_floating(p.a.dtype())) return {};
  return p.summed(p.dy, -(p.dy * floor(p.a / p.b)));
}

struct BinaryTraits {
  bool integers_may_fail = false;
  std::optional<double> neutral_left = {}, neutral_right = {};
};

void add_binary(OpRegistry& ops, std::string name, Types (*infer)(const InferContext&),
                Gradients (*gradient)(const Node&, std::span<const Gradient>),
                BinaryTraits traits = {}) {
  ops.add({.name = std::move(name),
           .num_inputs = 2,
           .infer = infer,
           .gradient = gradient,
           .elementwise = true,
           .integers_may_fail = traits.integers_may_fail,
           .neutral_left = traits.neutral_left,
           .neutral_right = traits.neutral_right});
}

}  // namespace

Value add(Value a, Value b) { return record("Add", {a, b}); }
Value sub(Value a, Value b) { return record("Sub", {a, b}); }
Value mul(Value a, Value b) { return record("Mul", {a, b}); }
Value div(Value a, Value b) { return record("Div", {a, b}); }
Value pow(Value a, Value b) { return record("Pow", {a, b}); }
Value maximum(Value a, Value b) { return record("Maximum", {a, b}); }
Value minimum(Value a, Value b) { return record("Minimum", {a, b}); }
Value squared_difference(Value a, Value b) { return record("SquaredDifference", {a, b}); }
Value floor_mod(Value a, Value b) { return record("FloorMod", {a, b}); }
Value equal(Value a, Value b) { return record("Equal", {a, b}); }
Value not_equal(Value a, Value b) { return record("NotEqual", {a, b}); }
Value less(Value a, Value b) { return record("Less", {a, b}); }
Value less_equal(Value a, Value b) { return record("LessEqual", {a, b}); }
Value greater(Value a, Value b) { return record("Greater", {a, b}); }
Value greater_equal(Value a, Value b) { return record("GreaterEqual", {a, b}); }
Value logical_and(Value a, Value b) { return record("LogicalAnd", {a, b}); }
Value logical_or(Value a, Value b) { return record("LogicalOr", {a, b}); }

void register_binary(OpRegistry& ops) {
  add_binary(ops, "Add", infer_arithmetic<"add">, gradient_add,
             {.neutral_left = 0, .neutral_right = 0});
  add_binary(ops, "Sub", infer_arithmetic<"sub">, gradient_sub, {.neutral_right = 0});
  add_binary(ops, "Mul", infer_arithmetic<"mul">, gradient_mul,
             {.neutral_left = 1, .neutral_right = 1});
  add_binary(ops, "Div", infer_arithmetic<"div">, gradient_div,
             {.integers_may_fail = true, .neutral_right = 1});
  add_binary(ops, "Pow", infer_floating_binary<"pow">, gradient_pow);
  add_binary(ops, "Maximum", infer_arithmetic<"maximum">, gradient_maximum);
  add_binary(ops, "Minimum", infer_arithmetic<"minimum">, gradient_minimum);
  add_binary(ops, "SquaredDifference", infer_arithmetic<"squared_difference">,
             gradient_squared_difference);
  add_binary(ops, "FloorMod", infer_arithmetic<"floor_mod">, gradient_floor_mod,
             {.integers_may_fail = true});
  add_binary(ops, "Equal", infer_equality<"equal">, no_gradient);
  add_binary(ops, "NotEqual", infer_equality<"not_equal">, no_gradient);
  add_binary(ops, "Less", infer_comparison<"less">, no_gradient);
  add_binary(ops, "LessEqual", infer_comparison<"less_equal">, no_gradient);
  add_binary(ops, "Greater", infer_comparison<"greater">, no_gradient);
  add_binary(ops, "GreaterEqual", infer_comparison<"greater_equal">, no_gradient);
  add_binary(ops, "LogicalAnd", infer_logical<"logical_and">, no_gradient);
  add_binary(ops, "LogicalOr", infer_logical<"logical_or">, no_gradient);
}

}  // namespace cohort::ops
