#include "cohort/kernels/cpu/simd/arithmetic.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec_math.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

/// Calls body(i, a, b, lanes) for all vectors of the operands.
template <class T, class Body>
[[gnu::always_inline]] inline void walk(Stream<T> a, Stream<T> b, Index count, Body body) {
  if (a.walks && b.walks) {
    for_vectors<T>(count, [&](Index i, auto lanes) {
      body(i, load(a.data + i, lanes), load(b.data + i, lanes), lanes);
    });
  } else if (a.walks) {
    const Vec<T> all = broadcast(*b.data);
    for_vectors<T>(count,
                   [&](Index i, auto lanes) { body(i, load(a.data + i, lanes), all, lanes); });
  } else if (b.walks) {
    const Vec<T> all = broadcast(*a.data);
    for_vectors<T>(count,
                   [&](Index i, auto lanes) { body(i, all, load(b.data + i, lanes), lanes); });
  } else {
    const Vec<T> all_a = broadcast(*a.data), all_b = broadcast(*b.data);
    for_vectors<T>(count, [&](Index i, auto lanes) { body(i, all_a, all_b, lanes); });
  }
}

template <class T>
void arithmetic_unary(Arithmetic f, const T* x, T* y, Index count) {
  const auto loop = [&](auto of) {
    for_vectors<T>(count,
                   [&](Index i, auto lanes) { store(y + i, of(load(x + i, lanes)), lanes); });
  };
  switch (f) {
    case Arithmetic::kNeg:
      return loop([](Vec<T> v) { return -v; });
    case Arithmetic::kAbs:
      return loop([](Vec<T> v) { return abs(v); });
    case Arithmetic::kSquare:
      return loop([](Vec<T> v) { return v * v; });
    case Arithmetic::kSqrt:
      return loop([](Vec<T> v) { return sqrt(v); });
    case Arithmetic::kRsqrt:
      return loop([](Vec<T> v) { return 1 / sqrt(v); });
    case Arithmetic::kReciprocal:
      return loop([](Vec<T> v) { return 1 / v; });
    default:
      return;  // of two operands
  }
}

template <class T>
void arithmetic_binary(Arithmetic f, Stream<T> a, Stream<T> b, T* y, Index count) {
  const auto loop = [&](auto of) {
    walk(a, b, count,
         [&](Index i, Vec<T> x, Vec<T> z, auto lanes) { store(y + i, of(x, z), lanes); });
  };
  switch (f) {
    case Arithmetic::kAdd:
      return loop([](Vec<T> x, Vec<T> z) { return x + z; });
    case Arithmetic::kSub:
      return loop([](Vec<T> x, Vec<T> z) { return x - z; });
    case Arithmetic::kMul:
      return loop([](Vec<T> x, Vec<T> z) { return x * z; });
    case Arithmetic::kDiv:
      return loop([](Vec<T> x, Vec<T> z) { return x / z; });
    case Arithmetic::kMaximum:
      return loop([](Vec<T> x, Vec<T> z) { return (x != x) | (x >= z) ? x : z; });
    case Arithmetic::kMinimum:
      return loop([](Vec<T> x, Vec<T> z) { return (x != x) | (x <= z) ? x : z; });
    case Arithmetic::kSquaredDifference:
      return loop([](Vec<T> x, Vec<T> z) { return (x - z) * (x - z); });
    default:
      return;  // of one operand
  }
}

template <class T>
void multiply_add(Stream<T> a, Stream<T> b, Stream<T> c, T* y, Index count) {
  if (c.walks) {
    walk(a, b, count, [&](Index i, Vec<T> x, Vec<T> z, auto lanes) {
      store(y + i, fma(x, z, load(c.data + i, lanes)), lanes);
    });
  } else {
    const Vec<T> all = broadcast(*c.data);
    walk(a, b, count,
         [&](Index i, Vec<T> x, Vec<T> z, auto lanes) { store(y + i, fma(x, z, all), lanes); });
  }
}

template <class T>
void compare(Comparison f, Stream<T> a, Stream<T> b, std::uint8_t* y, Index count) {
  const auto loop = [&](auto of) {
    walk(a, b, count, [&](Index i, Vec<T> x, Vec<T> z, auto lanes) {
      store_bytes<T>(y + i, of(x, z) & 1, lanes);
    });
  };
  switch (f) {
    case Comparison::kEqual:
      return loop([](Vec<T> x, Vec<T> z) -> VecInt<T> { return x == z; });
    case Comparison::kNotEqual:
      return loop([](Vec<T> x, Vec<T> z) -> VecInt<T> { return x != z; });
    case Comparison::kLess:
      return loop([](Vec<T> x, Vec<T> z) -> VecInt<T> { return x < z; });
    case Comparison::kLessEqual:
      return loop([](Vec<T> x, Vec<T> z) -> VecInt<T> { return x <= z; });
    case Comparison::kGreater:
      return loop([](Vec<T> x, Vec<T> z) -> VecInt<T> { return x > z; });
    case Comparison::kGreaterEqual:
      return loop([](Vec<T> x, Vec<T> z) -> VecInt<T> { return x >= z; });
  }
}

template <class T>
void select(const std::uint8_t* condition, Stream<T> a, Stream<T> b, T* y, Index count) {
  walk(a, b, count, [&](Index i, Vec<T> x, Vec<T> z, auto lanes) {
    const VecInt<T> chosen = load_bytes<T>(condition + i, lanes) != 0;
    store(y + i, chosen ? x : z, lanes);
  });
}

template <class T>
void add(ArithmeticRoutines<T>& routines) {
  routines.arithmetic_unary = arithmetic_unary<T>;
  routines.arithmetic_binary = arithmetic_binary<T>;
  routines.fma = multiply_add<T>;
  routines.compare = compare<T>;
  routines.select = select<T>;
}

}  // namespace

void add_arithmetic(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
