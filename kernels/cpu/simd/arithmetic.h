#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// One operation an element, rounded once (kRsqrt and kSquaredDifference: twice): the same bits on
/// every processor. kMaximum and kMinimum pass on NaN; of equal numbers they take a.
enum class Arithmetic {
  kNeg,
  kAbs,
  kSquare,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMaximum,
  kMinimum,
  kSquaredDifference,
};

enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

/// An operand of `count` numbers, or of one that serves all.
template <class T>
struct Stream {
  const T* data;
  bool walks;
};

template <class T>
struct ArithmeticRoutines {
  /// The functions of one operand. y may be x.
  void (*arithmetic_unary)(Arithmetic f, const T* x, T* y, std::ptrdiff_t count);
  /// Those of two. y may be an operand that walks.
  void (*arithmetic_binary)(Arithmetic f, Stream<T> a, Stream<T> b, T* y, std::ptrdiff_t count);
  /// y = a b + c, rounded once where the processor's vectors can. y may be an operand that walks.
  void (*fma)(Stream<T> a, Stream<T> b, Stream<T> c, T* y, std::ptrdiff_t count);
  /// y is 1 where a ? b holds, else 0; nothing but kNotEqual holds for NaN.
  void (*compare)(Comparison f, Stream<T> a, Stream<T> b, std::uint8_t* y, std::ptrdiff_t count);
  /// y = condition ? a : b, bit by bit. y may be a or b where they walk.
  void (*select)(const std::uint8_t* condition, Stream<T> a, Stream<T> b, T* y,
                 std::ptrdiff_t count);
};

}  // namespace cohort::cpu
