// What every instruction set shares, built on the names of its vec_*.h.
#pragma once

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

/// Calls body(i, lanes) for i = 0, L, 2L, ... with all lanes, then once with the lanes that are
/// left.
template <class T, class Body>
[[gnu::always_inline]] inline void for_vectors(Index count, Body body) {
  Index i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) body(i, AllLanes{});
  if (i < count) body(i, first_lanes<T>(count - i));
}

template <class T>
inline Index count_of(AllLanes) {
  return kLanes<T>;
}
template <class T>
inline Index count_of(FirstLanes<T> lanes) {
  return lanes.count;
}

/// Unsigned bytes to the integer lanes of T, and back (the values fit).
template <class T, class Lanes>
inline VecInt<T> load_bytes(const std::uint8_t* p, Lanes lanes) {
  typename LaneBytes<T>::Vector bytes = {};
  __builtin_memcpy(&bytes, p, static_cast<std::size_t>(count_of<T>(lanes)));
  return widen(bytes);
}
template <class T, class Lanes>
inline void store_bytes(std::uint8_t* p, VecInt<T> v, Lanes lanes) {
  const auto bytes = __builtin_convertvector(v, typename LaneBytes<T>::Vector);
  __builtin_memcpy(p, &bytes, static_cast<std::size_t>(count_of<T>(lanes)));
}

/// x with every lane of mask clear made zero.
template <class T>
inline Vec<T> keep_if(VecInt<T> mask, Vec<T> x) {
  return (Vec<T>)((VecInt<T>)x & mask);
}

template <class T, std::size_t... i>
inline VecInt<T> lane_numbers(std::index_sequence<i...>) {
  return VecInt<T>{static_cast<Int<T>>(i)...};
}
/// 0, 1, 2, ...
template <class T>
inline VecInt<T> lane_numbers() {
  return lane_numbers<T>(std::make_index_sequence<kLanes<T>>{});
}

/// The mask vector of the first lanes.
template <class T>
inline VecInt<T> inside(FirstLanes<T> lanes) {
  return lane_numbers<T>() < static_cast<Int<T>>(lanes.count);
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

/// The larger; NaN where either is NaN.
template <class T>
inline Vec<T> max_or_nan(Vec<T> a, Vec<T> b) {
  return a == a ? max(a, b) : a;
}

template <class T>
inline T max_lanes(Vec<T> v) {
  return combine_lanes<T>(v, max_or_nan<T>)[0];
}

/// load() with `other` in the lanes that are not read.
template <class T>
inline Vec<T> load_or(const T* p, T, AllLanes) {
  return load(p);
}
template <class T>
inline Vec<T> load_or(const T* p, T other, FirstLanes<T> lanes) {
  return inside<T>(lanes) ? load(p, lanes) : broadcast(other);
}

/// x with zero in the lanes outside.
template <class T>
inline Vec<T> zero_outside(Vec<T> x, AllLanes) {
  return x;
}
template <class T>
inline Vec<T> zero_outside(Vec<T> x, FirstLanes<T> lanes) {
  return keep_if<T>(inside<T>(lanes), x);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
