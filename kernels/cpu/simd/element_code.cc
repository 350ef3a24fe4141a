// A program of elementwise ops on eight vectors at a time. Each step is a function that hands the
// vectors on, in the registers of its arguments, to the next step's: nothing goes through memory
// that is not wanted there.
#include "cohort/kernels/cpu/simd/element_code.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec_math.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

constexpr Index kVectors = 8;

template <class T>
using Handler = void (*)(const ElementStep*, T* const*, Vec<T>, Vec<T>, Vec<T>, Vec<T>, Vec<T>,
                         Vec<T>, Vec<T>, Vec<T>);

// An operand: a tile of vectors, or a number.
template <class T, bool is_number>
struct ElementOperand {
  explicit ElementOperand(const T* p) : at(p) {}
  Vec<T> operator[](Index i) const { return load(at + i * kLanes<T>); }
  const T* at;
};
template <class T>
struct ElementOperand<T, true> {
  explicit ElementOperand(const T* p) : all(broadcast(*p)) {}
  Vec<T> operator[](Index) const { return all; }
  Vec<T> all;
};

// What each op makes of x, b and c.
template <class T, ElementOp op>
[[gnu::always_inline]] inline Vec<T> apply_element(Vec<T> x, Vec<T> b, Vec<T> c) {
  const auto larger = [](Vec<T> u, Vec<T> v) { return (u != u) | (u >= v) ? u : v; };
  const auto smaller = [](Vec<T> u, Vec<T> v) { return (u != u) | (u <= v) ? u : v; };
  if constexpr (op == ElementOp::kLoad) return b;
  if constexpr (op == ElementOp::kNeg) return -x;
  if constexpr (op == ElementOp::kAbs) return abs(x);
  if constexpr (op == ElementOp::kSign)
    return x > 0 ? broadcast(T{1}) : x < 0 ? broadcast(T{-1}) : x;
  if constexpr (op == ElementOp::kSquare) return x * x;
  if constexpr (op == ElementOp::kSqrt) return sqrt(x);
  if constexpr (op == ElementOp::kRsqrt) return 1 / sqrt(x);
  if constexpr (op == ElementOp::kReciprocal) return 1 / x;
  if constexpr (op == ElementOp::kAdd) return x + b;
  if constexpr (op == ElementOp::kSub) return x - b;
  if constexpr (op == ElementOp::kSubFrom) return b - x;
  if constexpr (op == ElementOp::kMul) return x * b;
  if constexpr (op == ElementOp::kDiv) return x / b;
  if constexpr (op == ElementOp::kDivInto) return b / x;
  if constexpr (op == ElementOp::kMaximum) return larger(x, b);
  if constexpr (op == ElementOp::kMaximumOf) return larger(b, x);
  if constexpr (op == ElementOp::kMinimum) return smaller(x, b);
  if constexpr (op == ElementOp::kMinimumOf) return smaller(b, x);
  if constexpr (op == ElementOp::kSquaredDifference) return (x - b) * (x - b);
  if constexpr (op == ElementOp::kFma) return fma(x, b, c);
  if constexpr (op == ElementOp::kFmaOf) return fma(b, c, x);
  if constexpr (op == ElementOp::kPlusProduct) return x + b * c;
  if constexpr (op == ElementOp::kMinusProduct) return x - b * c;
  if constexpr (op == ElementOp::kProductMinus) return b * c - x;
  if constexpr (op == ElementOp::kProductOver) return b * c / x;
}

template <class T>
[[gnu::always_inline]] inline void go_on(const ElementStep* step, T* const* places, Vec<T> v0,
                                         Vec<T> v1, Vec<T> v2, Vec<T> v3, Vec<T> v4, Vec<T> v5,
                                         Vec<T> v6, Vec<T> v7) {
  return reinterpret_cast<Handler<T>>(step[1].run)(step + 1, places, v0, v1, v2, v3, v4, v5, v6,
                                                   v7);
}

template <class T, ElementOp op, bool b_is_number, bool c_is_number>
void run_op(const ElementStep* step, T* const* places, Vec<T> v0, Vec<T> v1, Vec<T> v2, Vec<T> v3,
            Vec<T> v4, Vec<T> v5, Vec<T> v6, Vec<T> v7) {
  const ElementOperand<T, b_is_number> b(places[step->b]);
  const ElementOperand<T, c_is_number> c(places[step->c]);
  const auto of = [&](Vec<T> v, Index i) {
    if constexpr (op < ElementOp::kAdd && op != ElementOp::kLoad)
      return apply_element<T, op>(v, v, v);
    else if constexpr (op < ElementOp::kFma)
      return apply_element<T, op>(v, b[i], v);
    else
      return apply_element<T, op>(v, b[i], c[i]);
  };
  return go_on<T>(step, places, of(v0, 0), of(v1, 1), of(v2, 2), of(v3, 3), of(v4, 4), of(v5, 5),
                  of(v6, 6), of(v7, 7));
}

template <class T>
void store_tile(const ElementStep* step, T* const* places, Vec<T> v0, Vec<T> v1, Vec<T> v2,
                Vec<T> v3, Vec<T> v4, Vec<T> v5, Vec<T> v6, Vec<T> v7) {
  T* to = places[step->b];
  constexpr Index n = kLanes<T>;
  store(to, v0), store(to + n, v1), store(to + 2 * n, v2), store(to + 3 * n, v3);
  store(to + 4 * n, v4), store(to + 5 * n, v5), store(to + 6 * n, v6), store(to + 7 * n, v7);
  return go_on<T>(step, places, v0, v1, v2, v3, v4, v5, v6, v7);
}

// The condition is the same for all elements: x stays, or is replaced.
template <class T, bool x_if, bool c_is_number>
void choose(const ElementStep* step, T* const* places, Vec<T> v0, Vec<T> v1, Vec<T> v2, Vec<T> v3,
            Vec<T> v4, Vec<T> v5, Vec<T> v6, Vec<T> v7) {
  if (*reinterpret_cast<const std::uint8_t*>(places[step->b]) != (x_if ? 1 : 0)) {
    const ElementOperand<T, c_is_number> c(places[step->c]);
    return go_on<T>(step, places, c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);
  }
  return go_on<T>(step, places, v0, v1, v2, v3, v4, v5, v6, v7);
}

template <class T>
void end(const ElementStep*, T* const*, Vec<T>, Vec<T>, Vec<T>, Vec<T>, Vec<T>, Vec<T>, Vec<T>,
         Vec<T>) {}

template <class T, ElementOp op>
Handler<T> with_operands(bool b_is_number, bool c_is_number) {
  if constexpr (op < ElementOp::kAdd && op != ElementOp::kLoad) return run_op<T, op, false, false>;
  if constexpr (op < ElementOp::kFma)
    return b_is_number ? run_op<T, op, true, false> : run_op<T, op, false, false>;
  if (b_is_number) return c_is_number ? run_op<T, op, true, true> : run_op<T, op, true, false>;
  return c_is_number ? run_op<T, op, false, true> : run_op<T, op, false, false>;
}

template <class T>
Handler<T> handler_of(ElementOp op, bool b, bool c) {
  switch (op) {
    case ElementOp::kLoad:
      return with_operands<T, ElementOp::kLoad>(b, c);
    case ElementOp::kStore:
      return store_tile<T>;
    case ElementOp::kNeg:
      return with_operands<T, ElementOp::kNeg>(b, c);
    case ElementOp::kAbs:
      return with_operands<T, ElementOp::kAbs>(b, c);
    case ElementOp::kSign:
      return with_operands<T, ElementOp::kSign>(b, c);
    case ElementOp::kSquare:
      return with_operands<T, ElementOp::kSquare>(b, c);
    case ElementOp::kSqrt:
      return with_operands<T, ElementOp::kSqrt>(b, c);
    case ElementOp::kRsqrt:
      return with_operands<T, ElementOp::kRsqrt>(b, c);
    case ElementOp::kReciprocal:
      return with_operands<T, ElementOp::kReciprocal>(b, c);
    case ElementOp::kAdd:
      return with_operands<T, ElementOp::kAdd>(b, c);
    case ElementOp::kSub:
      return with_operands<T, ElementOp::kSub>(b, c);
    case ElementOp::kSubFrom:
      return with_operands<T, ElementOp::kSubFrom>(b, c);
    case ElementOp::kMul:
      return with_operands<T, ElementOp::kMul>(b, c);
    case ElementOp::kDiv:
      return with_operands<T, ElementOp::kDiv>(b, c);
    case ElementOp::kDivInto:
      return with_operands<T, ElementOp::kDivInto>(b, c);
    case ElementOp::kMaximum:
      return with_operands<T, ElementOp::kMaximum>(b, c);
    case ElementOp::kMaximumOf:
      return with_operands<T, ElementOp::kMaximumOf>(b, c);
    case ElementOp::kMinimum:
      return with_operands<T, ElementOp::kMinimum>(b, c);
    case ElementOp::kMinimumOf:
      return with_operands<T, ElementOp::kMinimumOf>(b, c);
    case ElementOp::kSquaredDifference:
      return with_operands<T, ElementOp::kSquaredDifference>(b, c);
    case ElementOp::kFma:
      return with_operands<T, ElementOp::kFma>(b, c);
    case ElementOp::kFmaOf:
      return with_operands<T, ElementOp::kFmaOf>(b, c);
    case ElementOp::kPlusProduct:
      return with_operands<T, ElementOp::kPlusProduct>(b, c);
    case ElementOp::kMinusProduct:
      return with_operands<T, ElementOp::kMinusProduct>(b, c);
    case ElementOp::kProductMinus:
      return with_operands<T, ElementOp::kProductMinus>(b, c);
    case ElementOp::kProductOver:
      return with_operands<T, ElementOp::kProductOver>(b, c);
    case ElementOp::kChoose:
      return c ? choose<T, true, true> : choose<T, true, false>;
    case ElementOp::kChooseOther:
      return c ? choose<T, false, true> : choose<T, false, false>;
    case ElementOp::kEnd:
      return end<T>;
  }
  return nullptr;
}

template <class T>
void (*element_step(ElementOp op, bool b_is_number, bool c_is_number))() {
  return reinterpret_cast<void (*)()>(handler_of<T>(op, b_is_number, c_is_number));
}

template <class T>
void run_elements(const ElementStep* steps, T** places, Index num_walking, Index tiles) {
  const Vec<T> none = {};
  for (Index tile = 0; tile < tiles; ++tile) {
    reinterpret_cast<Handler<T>>(steps->run)(steps, places, none, none, none, none, none, none,
                                             none, none);
    for (Index i = 0; i < num_walking; ++i) places[i] += kVectors * kLanes<T>;
  }
}

template <class T>
void add(ElementRoutines<T>& routines) {
  routines.element_tile = kVectors * kLanes<T>;
  routines.element_step = element_step<T>;
  routines.run_elements = run_elements<T>;
}

}  // namespace

void add_element_code(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
