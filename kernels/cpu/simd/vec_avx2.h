// AVX2 with FMA and F16C: 32-byte vectors, masked access by vector masks.
#pragma once

#include <immintrin.h>

#include <cstddef>

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
inline constexpr std::size_t kVectorBytes = 32;
}
#include "cohort/kernels/cpu/simd/vec_types.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

inline constexpr int kTileRows = 6;
inline constexpr int kTileVecs = 2;

template <class T>
struct FirstLanes {
  VecInt<T> mask;
  Index count;
};

template <class T>
inline FirstLanes<T> first_lanes(Index count) {
  if constexpr (sizeof(T) == 4) {
    const VecI32 lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return {lane < static_cast<std::int32_t>(count), count};
  } else {
    const VecI64 lane = {0, 1, 2, 3};
    return {lane < static_cast<std::int64_t>(count), count};
  }
}

template <class T>
inline Vec<T> load(const T* p, FirstLanes<T> lanes) {
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(p), (__m256i)lanes.mask);
  } else {
    return (Vec<T>)_mm256_maskload_pd(reinterpret_cast<const double*>(p), (__m256i)lanes.mask);
  }
}

template <class T>
inline void store(T* p, Vec<T> v, FirstLanes<T> lanes) {
  if constexpr (sizeof(T) == 4) {
    _mm256_maskstore_ps(reinterpret_cast<float*>(p), (__m256i)lanes.mask, (__m256)v);
  } else {
    _mm256_maskstore_pd(reinterpret_cast<double*>(p), (__m256i)lanes.mask, (__m256d)v);
  }
}

inline VecF32 fma(VecF32 a, VecF32 b, VecF32 c) { return (VecF32)_mm256_fmadd_ps(a, b, c); }
inline VecF64 fma(VecF64 a, VecF64 b, VecF64 c) { return (VecF64)_mm256_fmadd_pd(a, b, c); }
inline VecF32 sqrt(VecF32 v) { return (VecF32)_mm256_sqrt_ps(v); }
inline VecF64 sqrt(VecF64 v) { return (VecF64)_mm256_sqrt_pd(v); }
inline VecF32 max(VecF32 a, VecF32 b) { return (VecF32)_mm256_max_ps(a, b); }
inline VecF64 max(VecF64 a, VecF64 b) { return (VecF64)_mm256_max_pd(a, b); }
inline VecF32 min(VecF32 a, VecF32 b) { return (VecF32)_mm256_min_ps(a, b); }
inline VecF64 min(VecF64 a, VecF64 b) { return (VecF64)_mm256_min_pd(a, b); }

inline bool any_nan(VecF32 a, VecF32 b) {
  return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q)) != 0;
}
inline bool any_nan(VecF64 a, VecF64 b) {
  return _mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_UNORD_Q)) != 0;
}
inline bool any(VecI32 mask) { return _mm256_movemask_ps((__m256)mask) != 0; }
inline bool any(VecI64 mask) { return _mm256_movemask_pd((__m256d)mask) != 0; }

inline VecI32 round_to_int(VecF32 v) { return (VecI32)_mm256_cvtps_epi32(v); }

inline VecU64 multiply_even(VecU64 a, VecU64 b) {
  return (VecU64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}

inline void stream(float* p, VecF32 v) { _mm256_stream_ps(p, v); }
inline void stream(double* p, VecF64 v) { _mm256_stream_pd(p, v); }
inline void fence() { _mm_sfence(); }

inline VecI32 widen(BytesF32 v) {
  return (VecI32)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)v));
}
inline VecI64 widen(BytesF64 v) { return (VecI64)_mm256_cvtepu8_epi64(_mm_cvtsi32_si128((int)v)); }

inline VecF32 load_u8(const std::uint8_t* p) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return (VecF32)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}

inline VecF32 load_f16(const std::uint16_t* p) {
  return (VecF32)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline void store_f16(std::uint16_t* p, VecF32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
