// Vector types of kVectorBytes, which the file that includes this one has defined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

typedef float VecF32 __attribute__((vector_size(kVectorBytes)));
typedef double VecF64 __attribute__((vector_size(kVectorBytes)));
typedef std::int32_t VecI32 __attribute__((vector_size(kVectorBytes)));
typedef std::uint32_t VecU32 __attribute__((vector_size(kVectorBytes)));
typedef std::int64_t VecI64 __attribute__((vector_size(kVectorBytes)));
typedef std::uint64_t VecU64 __attribute__((vector_size(kVectorBytes)));

template <class T>
struct LaneTypes;
template <>
struct LaneTypes<float> {
  using Vector = VecF32;
  using Integers = VecI32;
  using Integer = std::int32_t;
};
template <>
struct LaneTypes<double> {
  using Vector = VecF64;
  using Integers = VecI64;
  using Integer = std::int64_t;
};
template <>
struct LaneTypes<std::int32_t> {
  using Vector = VecI32;
  using Integers = VecI32;
  using Integer = std::int32_t;
};
template <>
struct LaneTypes<std::uint32_t> {
  using Vector = VecU32;
  using Integers = VecI32;
  using Integer = std::int32_t;
};
template <>
struct LaneTypes<std::uint64_t> {
  using Vector = VecU64;
  using Integers = VecI64;
  using Integer = std::int64_t;
};

template <class T>
using Vec = typename LaneTypes<T>::Vector;
/// Masks, and the bits of the lanes of Vec<T>.
template <class T>
using VecInt = typename LaneTypes<T>::Integers;
template <class T>
using Int = typename LaneTypes<T>::Integer;

using Index = std::ptrdiff_t;

template <class T>
inline constexpr Index kLanes = static_cast<Index>(kVectorBytes / sizeof(T));

/// One byte a lane.
typedef std::uint8_t BytesF32 __attribute__((vector_size(kVectorBytes / 4)));
typedef std::uint8_t BytesF64 __attribute__((vector_size(kVectorBytes / 8)));
template <class T>
struct LaneBytes {
  using Vector = BytesF64;
};
template <>
struct LaneBytes<float> {
  using Vector = BytesF32;
};

/// All lanes; the first `count` lanes have their own type per instruction set (FirstLanes<T>).
struct AllLanes {};

template <class T>
inline Vec<T> load(const T* p, AllLanes = {}) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v, AllLanes = {}) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class T, std::size_t... i>
inline Vec<T> repeat(T x, std::index_sequence<i...>) {
  return Vec<T>{(static_cast<void>(i), x)...};
}

template <class T>
inline Vec<T> broadcast(T x) {
  return repeat<T>(x, std::make_index_sequence<kLanes<T>>{});
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
