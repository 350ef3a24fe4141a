#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "cohort/core/dtype_id.h"
#include "cohort/core/error.h"

namespace cohort {

/// IEEE 754 binary16, held as bits; converts to and from float, rounding to nearest even.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value);
  operator float() const;
};

/// The upper half of a binary32, held as bits; converts to and from float, rounding to nearest
/// even.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) {
    uint32_t u = std::bit_cast<uint32_t>(value);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? static_cast<uint16_t>((u >> 16) | 0x40u)
               : static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

/// Bytes of one element.
size_t size_of(DType dtype);
/// "float32", "bfloat16", "int64", … (NumPy's and Keras' names).
std::string_view dtype_name(DType dtype);
/// The inverse of dtype_name; throws InvalidArgument that lists the known names.
DType parse_dtype(std::string_view name);
bool is_floating(DType dtype);
bool is_integer(DType dtype);  // kBool is neither

template <class T>
constexpr DType dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, float>)
    return DType::kF32;
  else if constexpr (std::is_same_v<U, Half>)
    return DType::kF16;
  else if constexpr (std::is_same_v<U, BFloat16>)
    return DType::kBF16;
  else if constexpr (std::is_same_v<U, double>)
    return DType::kF64;
  else if constexpr (std::is_same_v<U, int32_t>)
    return DType::kI32;
  else if constexpr (std::is_same_v<U, int64_t>)
    return DType::kI64;
  else if constexpr (std::is_same_v<U, uint8_t>)
    return DType::kU8;
  else if constexpr (std::is_same_v<U, int8_t>)
    return DType::kI8;
  else {
    static_assert(std::is_same_v<U, bool>, "no DType for this C++ type");
    return DType::kBool;
  }
}

namespace internal {
[[noreturn]] void refuse_dtype(DType dtype);
}  // namespace internal

/// Calls `visit(T{})` with the C++ type of `dtype`; returns what it returns.
template <class Visitor>
decltype(auto) visit_dtype(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::kF32:
      return visit(float{});
    case DType::kF16:
      return visit(Half{});
    case DType::kBF16:
      return visit(BFloat16{});
    case DType::kF64:
      return visit(double{});
    case DType::kI32:
      return visit(int32_t{});
    case DType::kI64:
      return visit(int64_t{});
    case DType::kU8:
      return visit(uint8_t{});
    case DType::kI8:
      return visit(int8_t{});
    case DType::kBool:
      return visit(bool{});
  }
  internal::refuse_dtype(dtype);
}

}  // namespace cohort

template <>
struct fmt::formatter<cohort::DType> : fmt::formatter<std::string_view> {
  fmt::format_context::iterator format(cohort::DType dtype, fmt::format_context& context) const;
};
