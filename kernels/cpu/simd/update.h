#pragma once

#include <cstddef>

namespace cohort::cpu {

/// One step of Adam (Kingma & Ba 2015, in the form of Keras 3) on a slice of a bucket, in place:
///   g  = gradient * gradient_scale
///   p -= p * decay                          if decays: the learning rate times the decay rate
///   m += (g - m) * one_minus_beta_1
///   v += (g^2 - v) * one_minus_beta_2
///   p -= m * alpha / (sqrt(v) + epsilon)    alpha: learning_rate sqrt(1 - beta_2^t) / (1 -
///   beta_1^t)
/// where v_max is given (AMSGrad), v_max = max(v_max, v) takes v's place in the last line.
/// Square root and division are exact. The bits of an element do not depend on the slice's bounds.
template <class T>
struct AdamArgs {
  T* parameter = nullptr;
  T* m = nullptr;
  T* v = nullptr;
  T* v_max = nullptr;
  const T* gradient = nullptr;
  std::ptrdiff_t count = 0;
  T gradient_scale = 1;
  T alpha = 0;
  T one_minus_beta_1 = 0;
  T one_minus_beta_2 = 0;
  T epsilon = 0;
  bool decays = false;
  T decay = 0;
};

/// One step of SGD as Keras 3 defines it, on a slice of a bucket, in place, with g and decay as
/// above:
///   without velocity:  p -= g * learning_rate
///   with velocity:     w = w * momentum - g * learning_rate;  p += w
///   with nesterov:     w = w * momentum - g * learning_rate;  p += w * momentum - g *
///   learning_rate
template <class T>
struct SgdArgs {
  T* parameter = nullptr;
  T* velocity = nullptr;
  const T* gradient = nullptr;
  std::ptrdiff_t count = 0;
  T gradient_scale = 1;
  T learning_rate = 0;
  T momentum = 0;
  bool nesterov = false;
  bool decays = false;
  T decay = 0;
};

template <class T>
struct UpdateRoutines {
  void (*adam)(const AdamArgs<T>& args);
  void (*sgd)(const SgdArgs<T>& args);
};

}  // namespace cohort::cpu
