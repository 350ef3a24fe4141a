#pragma once

#include <cstdint>
#include <type_traits>

namespace cohort::emulated {
uint16_t half_bits(float value);
float half_value(uint16_t bits);
}  // namespace cohort::emulated

/// From float and integers alone: from double it would be rounded twice.
struct __half {
  uint16_t bits;
  __half() = default;
  __half(float value) : bits(cohort::emulated::half_bits(value)) {}
  __half(int value) : __half(static_cast<float>(value)) {}
  __half(double) = delete;
  operator float() const { return cohort::emulated::half_value(bits); }
};

inline float __half2float(__half value) { return value; }
inline __half __float2half_rn(float value) { return value; }
