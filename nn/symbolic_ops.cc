#include "cohort/nn/symbolic_ops.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/nn/layer.h"

namespace cohort::nn {
namespace {

class OperationImpl : public LayerImpl {
 public:
  OperationImpl(const std::string& type_name, std::function<Value(std::span<const Value>)> function)
      : LayerImpl(type_name), function_(std::move(function)) {}
  std::vector<Value> call(const CallArgs& args) override { return {function_(args.inputs)}; }

 protected:
  bool converts_inputs() const override { return false; }

 private:
  std::function<Value(std::span<const Value>)> function_;
};

template <class F>
SymbolicTensor unary(const char* type_name, const SymbolicTensor& x, F function) {
  return operation(type_name, {x},
                   [function](std::span<const Value> in) { return function(in[0]); });
}
template <class F>
SymbolicTensor binary(const char* type_name, const SymbolicTensor& a, const SymbolicTensor& b,
                      F function) {
  return operation(type_name, {a, b},
                   [function](std::span<const Value> in) { return function(in[0], in[1]); });
}

}  // namespace

SymbolicTensor operation(const std::string& type_name, const std::vector<SymbolicTensor>& inputs,
                         std::function<Value(std::span<const Value>)> function) {
  return make<OperationImpl>(type_name, std::move(function))(inputs);
}

SymbolicTensor operator-(const SymbolicTensor& x) {
  return unary("Negative", x, [](Value v) { return -v; });
}
SymbolicTensor operator+(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Add", a, b, [](Value x, Value y) { return x + y; });
}
SymbolicTensor operator+(const SymbolicTensor& a, double b) {
  return unary("Add", a, [b](Value x) { return x + b; });
}
SymbolicTensor operator+(double a, const SymbolicTensor& b) {
  return unary("Add", b, [a](Value x) { return a + x; });
}
SymbolicTensor operator-(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Subtract", a, b, [](Value x, Value y) { return x - y; });
}
SymbolicTensor operator-(const SymbolicTensor& a, double b) {
  return unary("Subtract", a, [b](Value x) { return x - b; });
}
SymbolicTensor operator-(double a, const SymbolicTensor& b) {
  return unary("Subtract", b, [a](Value x) { return a - x; });
}
SymbolicTensor operator*(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Multiply", a, b, [](Value x, Value y) { return x * y; });
}
SymbolicTensor operator*(const SymbolicTensor& a, double b) {
  return unary("Multiply", a, [b](Value x) { return x * b; });
}
SymbolicTensor operator*(double a, const SymbolicTensor& b) {
  return unary("Multiply", b, [a](Value x) { return a * x; });
}
SymbolicTensor operator/(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("TrueDivide", a, b, [](Value x, Value y) { return x / y; });
}
SymbolicTensor operator/(const SymbolicTensor& a, double b) {
  return unary("TrueDivide", a, [b](Value x) { return x / b; });
}
SymbolicTensor operator/(double a, const SymbolicTensor& b) {
  return unary("TrueDivide", b, [a](Value x) { return a / x; });
}

SymbolicTensor abs(const SymbolicTensor& x) { return unary("Abs", x, ops::abs); }
SymbolicTensor ceil(const SymbolicTensor& x) { return unary("Ceil", x, ops::ceil); }
SymbolicTensor cos(const SymbolicTensor& x) { return unary("Cos", x, ops::cos); }
SymbolicTensor erf(const SymbolicTensor& x) { return unary("Erf", x, ops::erf); }
SymbolicTensor exp(const SymbolicTensor& x) { return unary("Exp", x, ops::exp); }
SymbolicTensor expm1(const SymbolicTensor& x) { return unary("Expm1", x, ops::expm1); }
SymbolicTensor floor(const SymbolicTensor& x) { return unary("Floor", x, ops::floor); }
SymbolicTensor log(const SymbolicTensor& x) { return unary("Log", x, ops::log); }
SymbolicTensor log1p(const SymbolicTensor& x) { return unary("Log1p", x, ops::log1p); }
SymbolicTensor reciprocal(const SymbolicTensor& x) {
  return unary("Reciprocal", x, ops::reciprocal);
}
SymbolicTensor round(const SymbolicTensor& x) { return unary("Round", x, ops::round); }
SymbolicTensor rsqrt(const SymbolicTensor& x) { return unary("Rsqrt", x, ops::rsqrt); }
SymbolicTensor sign(const SymbolicTensor& x) { return unary("Sign", x, ops::sign); }
SymbolicTensor sin(const SymbolicTensor& x) { return unary("Sin", x, ops::sin); }
SymbolicTensor sqrt(const SymbolicTensor& x) { return unary("Sqrt", x, ops::sqrt); }
SymbolicTensor square(const SymbolicTensor& x) { return unary("Square", x, ops::square); }
SymbolicTensor maximum(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Maximum", a, b, ops::maximum);
}
SymbolicTensor minimum(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Minimum", a, b, ops::minimum);
}
SymbolicTensor pow(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Power", a, b, ops::pow);
}
SymbolicTensor squared_difference(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("SquaredDifference", a, b, ops::squared_difference);
}
SymbolicTensor clip(const SymbolicTensor& x, double low, double high) {
  return unary("Clip", x, [=](Value v) { return ops::clip(v, low, high); });
}
SymbolicTensor cast(const SymbolicTensor& x, DType dtype) {
  return unary("Cast", x, [=](Value v) { return ops::cast(v, dtype); });
}
SymbolicTensor matmul(const SymbolicTensor& a, const SymbolicTensor& b) {
  return binary("Matmul", a, b, [](Value x, Value y) { return ops::matmul(x, y); });
}
SymbolicTensor transpose(const SymbolicTensor& x, const std::vector<int64_t>& permutation) {
  return unary("Transpose", x, [=](Value v) { return ops::transpose(v, permutation); });
}
SymbolicTensor expand_dims(const SymbolicTensor& x, int64_t axis) {
  return unary("ExpandDims", x, [=](Value v) { return ops::expand_dims(v, axis); });
}
SymbolicTensor squeeze(const SymbolicTensor& x, int64_t axis) {
  return unary("Squeeze", x, [=](Value v) { return ops::squeeze(v, axis); });
}
SymbolicTensor reduce_sum(const SymbolicTensor& x, ops::ReduceOptions options) {
  return unary("Sum", x, [=](Value v) { return ops::reduce_sum(v, options); });
}
SymbolicTensor reduce_mean(const SymbolicTensor& x, ops::ReduceOptions options) {
  return unary("Mean", x, [=](Value v) { return ops::reduce_mean(v, options); });
}
SymbolicTensor reduce_max(const SymbolicTensor& x, ops::ReduceOptions options) {
  return unary("Max", x, [=](Value v) { return ops::reduce_max(v, options); });
}
SymbolicTensor reduce_min(const SymbolicTensor& x, ops::ReduceOptions options) {
  return unary("Min", x, [=](Value v) { return ops::reduce_min(v, options); });
}

SymbolicTensor celu(const SymbolicTensor& x, double alpha) {
  return unary("Celu", x, [=](Value v) { return activations::celu(v, alpha); });
}
SymbolicTensor elu(const SymbolicTensor& x, double alpha) {
  return unary("Elu", x, [=](Value v) { return activations::elu(v, alpha); });
}
SymbolicTensor exponential(const SymbolicTensor& x) {
  return unary("Exponential", x, [](Value v) { return activations::exponential(v); });
}
SymbolicTensor gelu(const SymbolicTensor& x, bool approximate) {
  return unary("Gelu", x, [=](Value v) { return activations::gelu(v, approximate); });
}
SymbolicTensor glu(const SymbolicTensor& x) {
  return unary("Glu", x, [](Value v) { return activations::glu(v); });
}
SymbolicTensor hard_shrink(const SymbolicTensor& x, double threshold) {
  return unary("HardShrink", x, [=](Value v) { return activations::hard_shrink(v, threshold); });
}
SymbolicTensor hard_sigmoid(const SymbolicTensor& x) {
  return unary("HardSigmoid", x, [](Value v) { return activations::hard_sigmoid(v); });
}
SymbolicTensor hard_silu(const SymbolicTensor& x) {
  return unary("HardSilu", x, [](Value v) { return activations::hard_silu(v); });
}
SymbolicTensor hard_swish(const SymbolicTensor& x) {
  return unary("HardSwish", x, [](Value v) { return activations::hard_swish(v); });
}
SymbolicTensor hard_tanh(const SymbolicTensor& x) {
  return unary("HardTanh", x, [](Value v) { return activations::hard_tanh(v); });
}
SymbolicTensor leaky_relu(const SymbolicTensor& x, double negative_slope) {
  return unary("LeakyRelu", x, [=](Value v) { return activations::leaky_relu(v, negative_slope); });
}
SymbolicTensor linear(const SymbolicTensor& x) {
  return unary("Linear", x, [](Value v) { return activations::linear(v); });
}
SymbolicTensor log_sigmoid(const SymbolicTensor& x) {
  return unary("LogSigmoid", x, [](Value v) { return activations::log_sigmoid(v); });
}
SymbolicTensor log_softmax(const SymbolicTensor& x) {
  return unary("LogSoftmax", x, [](Value v) { return activations::log_softmax(v); });
}
SymbolicTensor mish(const SymbolicTensor& x) {
  return unary("Mish", x, [](Value v) { return activations::mish(v); });
}
SymbolicTensor relu(const SymbolicTensor& x) {
  return unary("Relu", x, [](Value v) { return activations::relu(v); });
}
SymbolicTensor relu6(const SymbolicTensor& x) {
  return unary("Relu6", x, [](Value v) { return activations::relu6(v); });
}
SymbolicTensor selu(const SymbolicTensor& x) {
  return unary("Selu", x, [](Value v) { return activations::selu(v); });
}
SymbolicTensor sigmoid(const SymbolicTensor& x) {
  return unary("Sigmoid", x, [](Value v) { return activations::sigmoid(v); });
}
SymbolicTensor silu(const SymbolicTensor& x) {
  return unary("Silu", x, [](Value v) { return activations::silu(v); });
}
SymbolicTensor soft_shrink(const SymbolicTensor& x, double threshold) {
  return unary("SoftShrink", x, [=](Value v) { return activations::soft_shrink(v, threshold); });
}
SymbolicTensor softmax(const SymbolicTensor& x) {
  return unary("Softmax", x, [](Value v) { return activations::softmax(v); });
}
SymbolicTensor softplus(const SymbolicTensor& x) {
  return unary("Softplus", x, [](Value v) { return activations::softplus(v); });
}
SymbolicTensor softsign(const SymbolicTensor& x) {
  return unary("Softsign", x, [](Value v) { return activations::softsign(v); });
}
SymbolicTensor sparse_plus(const SymbolicTensor& x) {
  return unary("SparsePlus", x, [](Value v) { return activations::sparse_plus(v); });
}
SymbolicTensor sparse_sigmoid(const SymbolicTensor& x) {
  return unary("SparseSigmoid", x, [](Value v) { return activations::sparse_sigmoid(v); });
}
SymbolicTensor sparsemax(const SymbolicTensor& x) {
  return unary("Sparsemax", x, [](Value v) { return activations::sparsemax(v); });
}
SymbolicTensor squareplus(const SymbolicTensor& x, double b) {
  return unary("Squareplus", x, [=](Value v) { return activations::squareplus(v, b); });
}
SymbolicTensor swish(const SymbolicTensor& x) {
  return unary("Swish", x, [](Value v) { return activations::swish(v); });
}
SymbolicTensor tanh(const SymbolicTensor& x) {
  return unary("Tanh", x, [](Value v) { return activations::tanh(v); });
}
SymbolicTensor tanh_shrink(const SymbolicTensor& x) {
  return unary("TanhShrink", x, [](Value v) { return activations::tanh_shrink(v); });
}
SymbolicTensor threshold(const SymbolicTensor& x, double threshold, double default_value) {
  return unary("Threshold", x,
               [=](Value v) { return activations::threshold(v, threshold, default_value); });
}

}  // namespace cohort::nn
