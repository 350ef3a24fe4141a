// What every instruction set shares, built on the names of its vec_*.h.
#pragma once

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

/// Calls body(i, lanes) for i = 0, L, 2L, ... with all lanes, then once with the lanes that are left.
template <class T, class Body>
inline void for_vectors(Index count, Body body) {
  Index i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) body(i, AllLanes{});
  if (i < count) body(i, first_lanes<T>(count - i));
}

/// x with every lane of mask clear made zero.
template <class T>
inline Vec<T> keep_if(VecInt<T> mask, Vec<T> x) {
  return (Vec<T>)((VecInt<T>)x & mask);
}

template <std::size_t... i>
inline VecF32 swap_lanes(VecF32 v, std::size_t distance, std::index_sequence<i...>) {
  const VecI32 from = {static_cast<std::int32_t>(i ^ distance)...};
  return __builtin_shuffle(v, from);
}
template <std::size_t... i>
inline VecF64 swap_lanes(VecF64 v, std::size_t distance, std::index_sequence<i...>) {
  const VecI64 from = {static_cast<std::int64_t>(i ^ distance)...};
  return __builtin_shuffle(v, from);
}

/// Combines all lanes in a fixed butterfly: distance L/2, L/4, ..., 1. Every lane holds the result.
template <class T, class Combine>
inline Vec<T> combine_lanes(Vec<T> v, Combine combine) {
  constexpr std::size_t lanes = kLanes<T>;
#pragma GCC unroll 4
  for (std::size_t distance = lanes / 2; distance > 0; distance /= 2)
    v = combine(v, swap_lanes(v, distance, std::make_index_sequence<lanes>{}));
  return v;
}

template <class T>
inline T sum_lanes(Vec<T> v) {
  return combine_lanes<T>(v, [](Vec<T> a, Vec<T> b) { return a + b; })[0];
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
