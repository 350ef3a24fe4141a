#include "cohort/nn/activations.h"

#include <cmath>
#include <numbers>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace activations {
namespace {

Value number(double value, Value like) { return ops::scalar(value, like.dtype()); }
Value positive(Value x) { return ops::greater(x, number(0, x)); }

}  // namespace

// alpha * (e^(x / alpha) - 1) below 0; the exponent is held at 0 above, where its gradient would
// otherwise be infinity times 0.
Value celu(Value x, double alpha) {
  const Value below = ops::expm1(ops::minimum(x, number(0, x)) / alpha) * alpha;
  return ops::where(positive(x), x, below);
}
Value elu(Value x, double alpha) {
  const Value below = ops::expm1(ops::minimum(x, number(0, x))) * alpha;
  return ops::where(positive(x), x, below);
}
Value exponential(Value x) { return ops::exp(x); }
Value gelu(Value x, bool approximate) {
  if (!approximate) return x * (ops::erf(x * std::numbers::sqrt2 / 2) + 1.0) * 0.5;
  const double scale = std::sqrt(2 / std::numbers::pi);
  return x * (ops::tanh((x + x * x * x * 0.044715) * scale) + 1.0) * 0.5;
}
Value glu(Value x) {
  const Dim last = x.shape()[x.rank() - 1];
  if (last.is_symbol() || last.number() % 2 != 0)
    throw InvalidArgument("glu: got {}; want an even last dimension", x.shape());
  const std::vector<Value> halves = ops::split(x, 2, -1);
  return halves[0] * ops::sigmoid(halves[1]);
}
Value hard_shrink(Value x, double threshold) {
  return ops::where(ops::greater(ops::abs(x), number(threshold, x)), x, number(0, x));
}
Value hard_sigmoid(Value x) { return ops::clip(x / 6.0 + 0.5, 0, 1); }
Value hard_silu(Value x) { return x * hard_sigmoid(x); }
Value hard_swish(Value x) { return hard_silu(x); }
Value hard_tanh(Value x) { return ops::clip(x, -1, 1); }
Value leaky_relu(Value x, double negative_slope) {
  return ops::where(positive(x), x, x * negative_slope);
}
Value linear(Value x) { return x; }
Value log_sigmoid(Value x) { return -ops::softplus(-x); }
Value log_softmax(Value x) { return ops::log_softmax(x); }
Value mish(Value x) { return x * ops::tanh(ops::softplus(x)); }
Value relu(Value x) { return ops::relu(x); }
Value relu6(Value x) { return ops::clip(x, 0, 6); }
Value selu(Value x) {
  return elu(x, 1.6732632423543772848170429916717) * 1.0507009873554804934193349852946;
}
Value sigmoid(Value x) { return ops::sigmoid(x); }
Value silu(Value x) { return x * ops::sigmoid(x); }
Value soft_shrink(Value x, double threshold) {
  return ops::where(ops::greater(ops::abs(x), number(threshold, x)), x - ops::sign(x) * threshold,
                    number(0, x));
}
Value softmax(Value x) { return ops::softmax(x); }
Value softplus(Value x) { return ops::softplus(x); }
Value softsign(Value x) { return x / (ops::abs(x) + 1.0); }
// 0 up to -1, (x + 1)^2 / 4 between, x from 1 on.
Value sparse_plus(Value x) {
  const Value middle = ops::square(x + 1.0) * 0.25;
  return ops::where(ops::less_equal(x, number(-1, x)), number(0, x),
                    ops::where(ops::less(x, number(1, x)), middle, x));
}
Value sparse_sigmoid(Value x) { return ops::clip((x + 1.0) * 0.5, 0, 1); }

// max(z - tau, 0) with tau = (sum of the support - 1) / size of the support. z_i is in the support
// when 1 + k z_i > the sum of the k numbers that are not below it: all pairs are compared.
Value sparsemax(Value x) {
  const ops::ReduceOptions last{.axis = {-1}, .keepdims = true};
  const Value mine = ops::expand_dims(x, -1), others = ops::expand_dims(x, -2);
  const Value not_below = ops::cast(ops::greater_equal(others, mine), x.dtype());
  const Value rank = ops::reduce_sum(not_below, {.axis = {-1}});
  const Value sum = ops::reduce_sum(not_below * others, {.axis = {-1}});
  const Value support = ops::cast(ops::greater(x * rank + 1.0, sum), x.dtype());
  const Value tau = (ops::reduce_sum(x * support, last) - 1.0) / ops::reduce_sum(support, last);
  return ops::relu(x - tau);
}
Value squareplus(Value x, double b) { return (x + ops::sqrt(x * x + b)) * 0.5; }
Value swish(Value x) { return silu(x); }
Value tanh(Value x) { return ops::tanh(x); }
Value tanh_shrink(Value x) { return x - ops::tanh(x); }
Value threshold(Value x, double threshold, double default_value) {
  return ops::where(ops::greater(x, number(threshold, x)), x, number(default_value, x));
}

}  // namespace activations

namespace {

std::function<Value(Value)> activation_by_name(std::string_view name) {
  using F = Value (*)(Value);
  namespace a = activations;
  static constexpr internal::Named<F> kKnown[] = {
      {"celu", [](Value x) { return a::celu(x); }},
      {"elu", [](Value x) { return a::elu(x); }},
      {"exponential", a::exponential},
      {"gelu", [](Value x) { return a::gelu(x); }},
      {"glu", a::glu},
      {"hard_shrink", [](Value x) { return a::hard_shrink(x); }},
      {"hard_sigmoid", a::hard_sigmoid},
      {"hard_silu", a::hard_silu},
      {"hard_swish", a::hard_swish},
      {"hard_tanh", a::hard_tanh},
      {"leaky_relu", [](Value x) { return a::leaky_relu(x); }},
      {"linear", nullptr},
      {"log_sigmoid", a::log_sigmoid},
      {"log_softmax", a::log_softmax},
      {"mish", a::mish},
      {"relu", a::relu},
      {"relu6", a::relu6},
      {"selu", a::selu},
      {"sigmoid", a::sigmoid},
      {"silu", a::silu},
      {"soft_shrink", [](Value x) { return a::soft_shrink(x); }},
      {"softmax", a::softmax},
      {"softplus", a::softplus},
      {"softsign", a::softsign},
      {"sparse_plus", a::sparse_plus},
      {"sparse_sigmoid", a::sparse_sigmoid},
      {"sparsemax", a::sparsemax},
      {"squareplus", [](Value x) { return a::squareplus(x); }},
      {"swish", a::swish},
      {"tanh", a::tanh},
      {"tanh_shrink", a::tanh_shrink},
  };
  if (name == "threshold")
    throw InvalidArgument(
        "activation: got \"threshold\", which needs two numbers; want a function, "
        "[](Value x) {{ return activations::threshold(x, threshold, default_value); }}");
  const F function = internal::find_named<F>("activation", name, kKnown);
  if (!function) return {};
  return function;
}

}  // namespace

ActivationFunction::ActivationFunction(std::string_view name) {
  if (name.empty()) return;
  function_ = activation_by_name(name);
  name_ = name;
}

}  // namespace cohort::nn
