#pragma once

#include <cmath>
#include <cstdlib>
#include <limits>

#include "cohort/kernels/cpu/plain/types.h"

// What each elementwise op does to one element. T is a computing type: float, double or an integer.
namespace cohort::cpu::plain {

// Integers wrap: signed overflow is avoided by computing without a sign.
template <class T, class Fn>
T wrapping(T a, T b, Fn&& fn) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<std::common_type_t<T, int>>;
    return static_cast<T>(fn(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return fn(a, b);
  }
}

struct Neg {
  template <class T>
  T operator()(T x) const {
    if constexpr (std::is_integral_v<T>)
      return wrapping(T{0}, x, [](auto a, auto b) { return a - b; });
    else
      return -x;
  }
};
struct Abs {
  template <class T>
  T operator()(T x) const {
    if constexpr (std::is_integral_v<T>)
      return x < 0 ? Neg{}(x) : x;
    else
      return std::fabs(x);
  }
};
struct Sign {
  template <class T>
  T operator()(T x) const {
    return x > 0 ? T{1} : x < 0 ? static_cast<T>(-1) : x;
  }
};
struct Square {
  template <class T>
  T operator()(T x) const {
    return wrapping(x, x, [](auto a, auto b) { return a * b; });
  }
};
struct Relu {
  template <class T>
  T operator()(T x) const {
    return x < T{0} ? T{0} : x;
  }
};

// Floating types only.
struct Exp {
  template <class T>
  T operator()(T x) const {
    return std::exp(x);
  }
};
struct Expm1 {
  template <class T>
  T operator()(T x) const {
    return std::expm1(x);
  }
};
struct Log {
  template <class T>
  T operator()(T x) const {
    return std::log(x);
  }
};
struct Log1p {
  template <class T>
  T operator()(T x) const {
    return std::log1p(x);
  }
};
struct Sqrt {
  template <class T>
  T operator()(T x) const {
    return std::sqrt(x);
  }
};
struct Rsqrt {
  template <class T>
  T operator()(T x) const {
    return T{1} / std::sqrt(x);
  }
};
struct Reciprocal {
  template <class T>
  T operator()(T x) const {
    return T{1} / x;
  }
};
struct Sin {
  template <class T>
  T operator()(T x) const {
    return std::sin(x);
  }
};
struct Cos {
  template <class T>
  T operator()(T x) const {
    return std::cos(x);
  }
};
struct Tanh {
  template <class T>
  T operator()(T x) const {
    return std::tanh(x);
  }
};
struct Sigmoid {
  template <class T>
  T operator()(T x) const {
    if (x >= 0) return T{1} / (T{1} + std::exp(-x));
    const T e = std::exp(x);
    return e / (T{1} + e);
  }
};
struct Erf {
  template <class T>
  T operator()(T x) const {
    return std::erf(x);
  }
};
struct Softplus {
  template <class T>
  T operator()(T x) const {
    return (x > 0 ? x : T{0}) + std::log1p(std::exp(-std::fabs(x)));
  }
};
struct Floor {
  template <class T>
  T operator()(T x) const {
    return std::floor(x);
  }
};
struct Ceil {
  template <class T>
  T operator()(T x) const {
    return std::ceil(x);
  }
};
struct Round {
  template <class T>
  T operator()(T x) const {
    return std::nearbyint(x);
  }
};

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
};
struct Sub {
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
};
struct Mul {
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
};
// Integers: the kernel has made sure that b is not 0. Lowest / -1 would trap.
struct Div {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_signed_v<T> && std::is_integral_v<T>)
      if (b == T{-1}) return Neg{}(a);
    return static_cast<T>(a / b);
  }
};
struct FloorMod {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return T{0};
      const T r = static_cast<T>(a % b);
      return r != 0 && ((r < 0) != (b < 0)) ? static_cast<T>(r + b) : r;
    } else {
      const T r = std::fmod(a, b);
      if (r == 0) return std::copysign(r, b);
      return (r < 0) != (b < 0) ? r + b : r;
    }
  }
};
struct Pow {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b < 0) {  // 1 / a^|b|, truncated
        if (a == T{1}) return T{1};
        return a == static_cast<T>(-1) ? static_cast<T>(b % 2 == 0 ? 1 : -1) : T{0};
      }
      T result = 1;
      for (; b > 0; b = static_cast<T>(b / 2), a = Mul{}(a, a))
        if (b % 2 == 1) result = Mul{}(result, a);
      return result;
    } else {
      return std::pow(a, b);
    }
  }
};
struct Maximum {
  template <class T>
  T operator()(T a, T b) const {
    if (a != a) return a;
    return a >= b ? a : b;
  }
};
struct Minimum {
  template <class T>
  T operator()(T a, T b) const {
    if (a != a) return a;
    return a <= b ? a : b;
  }
};
struct SquaredDifference {
  template <class T>
  T operator()(T a, T b) const {
    return Square{}(Sub{}(a, b));
  }
};

struct ReluGrad {
  template <class T>
  T operator()(T dy, T y) const {
    return y > 0 ? dy : T{0};
  }
};
struct SigmoidGrad {
  template <class T>
  T operator()(T dy, T y) const {
    return dy * y * (T{1} - y);
  }
};
struct TanhGrad {
  template <class T>
  T operator()(T dy, T y) const {
    return dy * (T{1} - y * y);
  }
};

struct Equal {
  template <class T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct NotEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a != b;
  }
};
struct Less {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct Greater {
  template <class T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterEqual {
  template <class T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct LogicalAnd {
  bool operator()(bool a, bool b) const { return a && b; }
};
struct LogicalOr {
  bool operator()(bool a, bool b) const { return a || b; }
};
struct LogicalNot {
  bool operator()(bool a) const { return !a; }
};
struct IsFinite {
  template <class T>
  bool operator()(T x) const {
    return std::isfinite(x);
  }
};

/// Floats to integers truncate, with values outside the range at its ends and NaN 0; anything to
/// bool is != 0.
template <class To, class From>
To cast_element(From x) {
  const Compute<From> value = static_cast<Compute<From>>(x);
  if constexpr (std::is_same_v<To, bool>) {
    return value != Compute<From>{0};
  } else if constexpr (std::is_floating_point_v<Compute<From>> && kIsInteger<To>) {
    using Limits = std::numeric_limits<To>;
    if (value != value) return To{0};
    if (value <= static_cast<Compute<From>>(Limits::lowest())) return Limits::lowest();
    if (value >= static_cast<Compute<From>>(Limits::max())) return Limits::max();
    return static_cast<To>(value);
  } else if constexpr (kIsHalf<To>) {
    return To(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace cohort::cpu::plain
