#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/ops/reduce.h"
#include "cohort/nn/activations.h"
#include "cohort/nn/symbolic_tensor.h"

/// Arithmetic, elementwise functions, reductions and activations of symbolic tensors: each is a
/// step of the functional model that ends behind it, without weights, as `ops` and
/// `nn::activations` have it for values. Masks do not pass them.
namespace cohort::nn {

/// Any function of values. `type_name` is in CamelCase; the step is called after it. Errors of the
/// function get that name in front.
SymbolicTensor operation(const std::string& type_name, const std::vector<SymbolicTensor>& inputs,
                         std::function<Value(std::span<const Value>)> function);

// A number takes the dtype of the tensor beside it; dtypes of two tensors are equal.
SymbolicTensor operator-(const SymbolicTensor& x);
SymbolicTensor operator+(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator-(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator*(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator/(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor operator+(const SymbolicTensor& a, double b);
SymbolicTensor operator-(const SymbolicTensor& a, double b);
SymbolicTensor operator*(const SymbolicTensor& a, double b);
SymbolicTensor operator/(const SymbolicTensor& a, double b);
SymbolicTensor operator+(double a, const SymbolicTensor& b);
SymbolicTensor operator-(double a, const SymbolicTensor& b);
SymbolicTensor operator*(double a, const SymbolicTensor& b);
SymbolicTensor operator/(double a, const SymbolicTensor& b);

// As in core/ops.
SymbolicTensor abs(const SymbolicTensor& x);
SymbolicTensor ceil(const SymbolicTensor& x);
SymbolicTensor cos(const SymbolicTensor& x);
SymbolicTensor erf(const SymbolicTensor& x);
SymbolicTensor exp(const SymbolicTensor& x);
SymbolicTensor expm1(const SymbolicTensor& x);
SymbolicTensor floor(const SymbolicTensor& x);
SymbolicTensor log(const SymbolicTensor& x);
SymbolicTensor log1p(const SymbolicTensor& x);
SymbolicTensor reciprocal(const SymbolicTensor& x);
SymbolicTensor round(const SymbolicTensor& x);
SymbolicTensor rsqrt(const SymbolicTensor& x);
SymbolicTensor sign(const SymbolicTensor& x);
SymbolicTensor sin(const SymbolicTensor& x);
SymbolicTensor sqrt(const SymbolicTensor& x);
SymbolicTensor square(const SymbolicTensor& x);
SymbolicTensor maximum(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor minimum(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor pow(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor squared_difference(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor clip(const SymbolicTensor& x, double low, double high);
SymbolicTensor cast(const SymbolicTensor& x, DType dtype);
SymbolicTensor matmul(const SymbolicTensor& a, const SymbolicTensor& b);
SymbolicTensor transpose(const SymbolicTensor& x, const std::vector<int64_t>& permutation);
SymbolicTensor expand_dims(const SymbolicTensor& x, int64_t axis);
SymbolicTensor squeeze(const SymbolicTensor& x, int64_t axis);
SymbolicTensor reduce_sum(const SymbolicTensor& x, ops::ReduceOptions options = {});
SymbolicTensor reduce_mean(const SymbolicTensor& x, ops::ReduceOptions options = {});
SymbolicTensor reduce_max(const SymbolicTensor& x, ops::ReduceOptions options = {});
SymbolicTensor reduce_min(const SymbolicTensor& x, ops::ReduceOptions options = {});

// As in nn::activations, whose functions of values have these names, too.
using activations::celu;
using activations::elu;
using activations::exponential;
using activations::gelu;
using activations::glu;
using activations::hard_shrink;
using activations::hard_sigmoid;
using activations::hard_silu;
using activations::hard_swish;
using activations::hard_tanh;
using activations::leaky_relu;
using activations::linear;
using activations::log_sigmoid;
using activations::log_softmax;
using activations::mish;
using activations::relu;
using activations::relu6;
using activations::selu;
using activations::sigmoid;
using activations::silu;
using activations::soft_shrink;
using activations::softmax;
using activations::softplus;
using activations::softsign;
using activations::sparse_plus;
using activations::sparse_sigmoid;
using activations::sparsemax;
using activations::squareplus;
using activations::swish;
using activations::tanh;
using activations::tanh_shrink;
using activations::threshold;
SymbolicTensor celu(const SymbolicTensor& x, double alpha = 1.0);
SymbolicTensor elu(const SymbolicTensor& x, double alpha = 1.0);
SymbolicTensor exponential(const SymbolicTensor& x);
SymbolicTensor gelu(const SymbolicTensor& x, bool approximate = false);
SymbolicTensor glu(const SymbolicTensor& x);
SymbolicTensor hard_shrink(const SymbolicTensor& x, double threshold = 0.5);
SymbolicTensor hard_sigmoid(const SymbolicTensor& x);
SymbolicTensor hard_silu(const SymbolicTensor& x);
SymbolicTensor hard_swish(const SymbolicTensor& x);
SymbolicTensor hard_tanh(const SymbolicTensor& x);
SymbolicTensor leaky_relu(const SymbolicTensor& x, double negative_slope = 0.2);
SymbolicTensor linear(const SymbolicTensor& x);
SymbolicTensor log_sigmoid(const SymbolicTensor& x);
SymbolicTensor log_softmax(const SymbolicTensor& x);
SymbolicTensor mish(const SymbolicTensor& x);
SymbolicTensor relu(const SymbolicTensor& x);
SymbolicTensor relu6(const SymbolicTensor& x);
SymbolicTensor selu(const SymbolicTensor& x);
SymbolicTensor sigmoid(const SymbolicTensor& x);
SymbolicTensor silu(const SymbolicTensor& x);
SymbolicTensor soft_shrink(const SymbolicTensor& x, double threshold = 0.5);
SymbolicTensor softmax(const SymbolicTensor& x);
SymbolicTensor softplus(const SymbolicTensor& x);
SymbolicTensor softsign(const SymbolicTensor& x);
SymbolicTensor sparse_plus(const SymbolicTensor& x);
SymbolicTensor sparse_sigmoid(const SymbolicTensor& x);
SymbolicTensor sparsemax(const SymbolicTensor& x);
SymbolicTensor squareplus(const SymbolicTensor& x, double b = 4.0);
SymbolicTensor swish(const SymbolicTensor& x);
SymbolicTensor tanh(const SymbolicTensor& x);
SymbolicTensor tanh_shrink(const SymbolicTensor& x);
SymbolicTensor threshold(const SymbolicTensor& x, double threshold, double default_value);

}  // namespace cohort::nn
