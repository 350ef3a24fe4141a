#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cohort/core/graph/graph.h"

namespace cohort::nn {

/// What a layer applies to its result: given by name ("relu"), as a function of nn::activations, or
/// as a callable of the user's. Empty: nothing ("linear").
class ActivationFunction {
 public:
  ActivationFunction() = default;
  /// Throws InvalidArgument that lists the known names. "" is linear.
  ActivationFunction(std::string_view name);                                            // NOLINT
  ActivationFunction(const char* name) : ActivationFunction(std::string_view(name)) {}  // NOLINT
  ActivationFunction(const std::string& name)                                           // NOLINT
      : ActivationFunction(std::string_view(name)) {}
  template <class F>
  requires(std::is_invocable_r_v<Value, F, Value> && !std::is_same_v<F, ActivationFunction>)
      ActivationFunction(F function)  // NOLINT
      : function_(std::move(function)), name_() {}

  /// A function by a name that who reads a file of it knows, too.
  ActivationFunction(std::function<Value(Value)> function, std::string name)
      : function_(std::move(function)), name_(std::move(name)) {}

  /// True when calling this changes nothing.
  bool is_linear() const { return !function_; }
  Value operator()(Value x) const { return function_ ? function_(x) : x; }
  /// What it was given by: "linear" for nothing, "" for a function.
  const std::string& name() const { return name_; }

 private:
  std::function<Value(Value)> function_;
  std::string name_ = "linear";
};

/// Keras' activations: floating in, same shape out unless said otherwise.
namespace activations {

Value celu(Value x, double alpha = 1.0);
Value elu(Value x, double alpha = 1.0);
Value exponential(Value x);
Value gelu(Value x, bool approximate = false);
/// Halves the last axis [.., 2K] -> [.., K]: a * sigmoid(b).
Value glu(Value x);
Value hard_shrink(Value x, double threshold = 0.5);
Value hard_sigmoid(Value x);
Value hard_silu(Value x);
Value hard_swish(Value x);  ///< hard_silu
Value hard_tanh(Value x);
Value leaky_relu(Value x, double negative_slope = 0.2);
Value linear(Value x);
Value log_sigmoid(Value x);
Value log_softmax(Value x);  ///< over the last axis
Value mish(Value x);
Value relu(Value x);
Value relu6(Value x);
Value selu(Value x);
Value sigmoid(Value x);
Value silu(Value x);
Value soft_shrink(Value x, double threshold = 0.5);
Value softmax(Value x);  ///< over the last axis
Value softplus(Value x);
Value softsign(Value x);
Value sparse_plus(Value x);
Value sparse_sigmoid(Value x);
/// The nearest point of the probability simplex, over the last axis (Martins and Astudillo, 2016).
Value sparsemax(Value x);
Value squareplus(Value x, double b = 4.0);
Value swish(Value x);  ///< silu
Value tanh(Value x);
Value tanh_shrink(Value x);
/// x above `threshold`, `default_value` elsewhere.
Value threshold(Value x, double threshold, double default_value);

}  // namespace activations
}  // namespace cohort::nn
