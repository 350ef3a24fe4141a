// 16-byte vectors in the compiler's own vector language: any processor that GCC and Clang know.
#pragma once

#include <cstddef>

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
inline constexpr std::size_t kVectorBytes = 16;
}
#include "cohort/kernels/cpu/simd/vec_types.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

inline constexpr int kTileRows = 4;
inline constexpr int kTileVecs = 2;

template <class T>
struct FirstLanes {
  Index count;
};

template <class T>
inline FirstLanes<T> first_lanes(Index count) {
  return {count};
}

template <class T>
inline Vec<T> load(const T* p, FirstLanes<T> lanes) {
  Vec<T> v = {};
  for (Index i = 0; i < lanes.count; ++i) v[i] = p[i];
  return v;
}

template <class T>
inline void store(T* p, Vec<T> v, FirstLanes<T> lanes) {
  for (Index i = 0; i < lanes.count; ++i) p[i] = v[i];
}

inline VecF32 fma(VecF32 a, VecF32 b, VecF32 c) { return a * b + c; }
inline VecF64 fma(VecF64 a, VecF64 b, VecF64 c) { return a * b + c; }

inline VecF32 sqrt(VecF32 v) {
  for (Index i = 0; i < kLanes<float>; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
}
inline VecF64 sqrt(VecF64 v) {
  for (Index i = 0; i < kLanes<double>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
}

inline VecF32 max(VecF32 a, VecF32 b) { return a > b ? a : b; }
inline VecF64 max(VecF64 a, VecF64 b) { return a > b ? a : b; }
inline VecF32 min(VecF32 a, VecF32 b) { return a < b ? a : b; }
inline VecF64 min(VecF64 a, VecF64 b) { return a < b ? a : b; }

inline bool any(VecI64 mask) { return (mask[0] | mask[1]) != 0; }
inline bool any(VecI32 mask) { return any((VecI64)mask); }

inline bool any_nan(VecF32 a, VecF32 b) { return any((a != a) | (b != b)); }
inline bool any_nan(VecF64 a, VecF64 b) { return any((a != a) | (b != b)); }

/// Adding 1.5 * 2^23 leaves the nearest integer in the low bits of the sum: right for |v| < 2^22,
/// all that is asked of it here; the smallest integer elsewhere, as the other instruction sets give
/// out of range.
inline VecI32 round_to_int(VecF32 v) {
  const VecF32 magic = broadcast(12582912.0f);
  const VecI32 rounded = (VecI32)(v + magic) - (VecI32)magic;
  const VecF32 magnitude = (VecF32)((VecI32)v & 0x7fffffff);
  return magnitude < 4194304.0f ? rounded : VecI32{} + INT32_MIN;
}

inline VecU64 multiply_even(VecU64 a, VecU64 b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }

inline void stream(float* p, VecF32 v) { store(p, v); }
inline void stream(double* p, VecF64 v) { store(p, v); }
inline void fence() {}

inline VecI32 widen(BytesF32 v) { return __builtin_convertvector(v, VecI32); }
inline VecI64 widen(BytesF64 v) { return __builtin_convertvector(v, VecI64); }

inline VecF32 load_u8(const std::uint8_t* p) {
  VecF32 v;
  for (Index i = 0; i < kLanes<float>; ++i) v[i] = p[i];
  return v;
}

/// IEEE binary16 by integer arithmetic: the exponent is moved by a multiplication, which handles
/// denormals as well (F. Giesen, "half to float done quick").
inline VecF32 load_f16(const std::uint16_t* p) {
  VecI32 bits;
  for (Index i = 0; i < kLanes<float>; ++i) bits[i] = p[i];
  const VecI32 magnitude = (bits & 0x7fff) << 13;
  const VecI32 sign = (bits & 0x8000) << 16;
  const VecF32 scaled = (VecF32)magnitude * 0x1p112f;
  const VecI32 special = magnitude | 0x7f800000;
  return (VecF32)((magnitude >= (0x7c00 << 13) ? special : (VecI32)scaled) | sign);
}

inline std::uint16_t to_f16(float value) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u)
    return static_cast<std::uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x3ffu));
  if (bits >= 0x47800000u) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (bits < 0x33000000u) return static_cast<std::uint16_t>(sign);
  // The significand with its hidden one, shifted to the place of the result and rounded to even.
  const int exponent = static_cast<int>(bits >> 23) - 112;
  const int shift = exponent > 0 ? 13 : 14 - exponent;
  const std::uint32_t significand = (bits & 0x7fffffu) | 0x800000u;
  const std::uint32_t base = exponent > 0 ? static_cast<std::uint32_t>(exponent - 1) << 10 : 0;
  const std::uint32_t half = 1u << (shift - 1);
  const std::uint32_t rounded = (significand + half - 1 + ((significand >> shift) & 1u)) >> shift;
  return static_cast<std::uint16_t>(sign | (base + rounded));
}

inline void store_f16(std::uint16_t* p, VecF32 v) {
  for (Index i = 0; i < kLanes<float>; ++i) p[i] = to_f16(v[i]);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
