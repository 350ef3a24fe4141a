#pragma once

#include <cstddef>

namespace cohort::cpu {

/// y = f(x), with the meaning of Keras' activations: kElu and kSelu with their standard constants,
/// kGelu by erf, kGeluTanh by its tanh approximation, kSilu = x * sigmoid(x), kRelu = max(x, 0).
/// NaN stays NaN.
enum class Unary {
  kRelu,
  kSigmoid,
  kTanh,
  kExp,
  kExpm1,
  kLog,
  kSoftplus,
  kErf,
  kGelu,
  kGeluTanh,
  kElu,
  kSelu,
  kSilu,
};

template <class T>
struct ActivationRoutines {
  /// y may be x.
  void (*unary)(Unary f, const T* x, T* y, std::ptrdiff_t count);
  /// dx = dy * f'(x), from y = f(x) alone for kRelu, kSigmoid, kTanh, kExp, kExpm1 (x is not read),
  /// from x alone for the rest (y is not read). At 0 the slope of kRelu is 0. dx may be dy.
  void (*unary_grad)(Unary f, const T* dy, const T* x, const T* y, T* dx, std::ptrdiff_t count);
  /// dx = dy * scale where y > 0, else 0. With y = dropout(relu(x)) and dropout's scale this is the
  /// gradient of both: an element that either made zero passes nothing. dx may be dy.
  void (*relu_grad)(const T* dy, const T* y, T scale, T* dx, std::ptrdiff_t count);
  /// y[r, c] = x[r, c] + bias[c], then max(0, .) where relu. y may be x.
  void (*add_bias)(const T* x, const T* bias, T* y, std::ptrdiff_t rows, std::ptrdiff_t columns,
                   bool relu);
};

}  // namespace cohort::cpu
