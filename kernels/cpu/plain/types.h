#pragma once

#include <memory>
#include <type_traits>

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu {

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
inline constexpr bool kIsFloating = kIsHalf<T> || std::is_floating_point_v<T>;
template <class T>
inline constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

/// The type in which elements of type T are computed: float for the 16-bit formats.
template <class T>
using Compute = std::conditional_t<kIsHalf<T>, float, T>;
/// The type in which they are summed: double for all floats.
template <class T>
using Accumulator = std::conditional_t<kIsFloating<T>, double, T>;

/// A result computed in double, rounded as one of T's computations is.
template <class T>
T from_double(double value) {
  return static_cast<T>(static_cast<Compute<T>>(value));
}

/// Calls make(T{}) with the C++ type of `dtype` where it is a floating one; null otherwise.
template <class Make>
std::unique_ptr<Kernel> for_floating(DType dtype, Make&& make) {
  return visit_dtype(dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    if constexpr (kIsFloating<decltype(type)>)
      return make(type);
    else
      return nullptr;
  });
}

/// The same for floating and integer types.
template <class Make>
std::unique_ptr<Kernel> for_numbers(DType dtype, Make&& make) {
  return visit_dtype(dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    if constexpr (!std::is_same_v<decltype(type), bool>)
      return make(type);
    else
      return nullptr;
  });
}

/// The same for all types, where only the size of an element matters: i8, u16-like, i32 or i64.
template <class Make>
std::unique_ptr<Kernel> for_bytes(DType dtype, Make&& make) {
  switch (size_of(dtype)) {
    case 1:
      return make(uint8_t{});
    case 2:
      return make(uint16_t{});
    case 4:
      return make(uint32_t{});
    default:
      return make(uint64_t{});
  }
}

}  // namespace cohort::cpu
