// AVX-512 (F, BW, DQ, VL): 64-byte vectors, masked access by mask registers.
#pragma once

#include <immintrin.h>

#include <cstddef>

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
inline constexpr std::size_t kVectorBytes = 64;
}
#include "cohort/kernels/cpu/simd/vec_types.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

/// Tile of accumulators of the matrix product: rows, and vectors a row.
inline constexpr int kTileRows = 14;
inline constexpr int kTileVecs = 2;

template <class T>
struct FirstLanes {
  std::uint32_t bits;
  Index count;
};

template <class T>
inline FirstLanes<T> first_lanes(Index count) {
  return {(std::uint32_t{1} << count) - 1, count};
}

template <class T>
inline Vec<T> load(const T* p, FirstLanes<T> lanes) {
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes.bits), p);
  } else {
    return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes.bits), p);
  }
}

template <class T>
inline void store(T* p, Vec<T> v, FirstLanes<T> lanes) {
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>(lanes.bits), (__m512)v);
  } else {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes.bits), (__m512d)v);
  }
}

inline VecF32 fma(VecF32 a, VecF32 b, VecF32 c) { return (VecF32)_mm512_fmadd_ps(a, b, c); }
inline VecF64 fma(VecF64 a, VecF64 b, VecF64 c) { return (VecF64)_mm512_fmadd_pd(a, b, c); }
inline VecF32 sqrt(VecF32 v) { return (VecF32)_mm512_sqrt_ps(v); }
inline VecF64 sqrt(VecF64 v) { return (VecF64)_mm512_sqrt_pd(v); }

/// `b` where either is NaN, so max(limit, x) keeps the NaN of x.
inline VecF32 max(VecF32 a, VecF32 b) { return (VecF32)_mm512_max_ps(a, b); }
inline VecF64 max(VecF64 a, VecF64 b) { return (VecF64)_mm512_max_pd(a, b); }
inline VecF32 min(VecF32 a, VecF32 b) { return (VecF32)_mm512_min_ps(a, b); }
inline VecF64 min(VecF64 a, VecF64 b) { return (VecF64)_mm512_min_pd(a, b); }

inline bool any_nan(VecF32 a, VecF32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q) != 0; }
inline bool any_nan(VecF64 a, VecF64 b) { return _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q) != 0; }
inline bool any(VecI32 mask) { return _mm512_movepi32_mask((__m512i)mask) != 0; }
inline bool any(VecI64 mask) { return _mm512_movepi64_mask((__m512i)mask) != 0; }

/// To the nearest integer, ties to even; out of range gives the smallest integer.
inline VecI32 round_to_int(VecF32 v) { return (VecI32)_mm512_cvtps_epi32(v); }

/// 64-bit products of the even 32-bit lanes.
inline VecU64 multiply_even(VecU64 a, VecU64 b) {
  return (VecU64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

/// Stores past the caches; p is aligned to kVectorBytes. fence() before another thread reads.
inline void stream(float* p, VecF32 v) { _mm512_stream_ps(p, v); }
inline void stream(double* p, VecF64 v) { _mm512_stream_pd(p, v); }
inline void fence() { _mm_sfence(); }

/// Unsigned bytes to integer lanes. __builtin_convertvector takes them apart one by one.
inline VecI32 widen(BytesF32 v) { return (VecI32)_mm512_cvtepu8_epi32((__m128i)v); }
inline VecI64 widen(BytesF64 v) {
  return (VecI64)_mm512_cvtepu8_epi64(_mm_cvtsi64_si128((long long)v));
}

inline VecF32 load_u8(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return (VecF32)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}

inline VecF32 load_f16(const std::uint16_t* p) {
  return (VecF32)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline void store_f16(std::uint16_t* p, VecF32 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
