#pragma once

#include <cstdint>

namespace cohort::emulated {
uint16_t bfloat16_bits(float value);
float bfloat16_value(uint16_t bits);
}  // namespace cohort::emulated

/// From float and integers alone: from double it would be rounded twice.
struct __nv_bfloat16 {
  uint16_t bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float value) : bits(cohort::emulated::bfloat16_bits(value)) {}
  __nv_bfloat16(int value) : __nv_bfloat16(static_cast<float>(value)) {}
  __nv_bfloat16(double) = delete;
  operator float() const { return cohort::emulated::bfloat16_value(bits); }
};

inline float __bfloat162float(__nv_bfloat16 value) { return value; }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return value; }
