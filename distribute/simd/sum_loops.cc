// Compiled once for each instruction set; see cmake/CohortSimd.cmake for what may stand here.

#include "cohort/distribute/sum_loops.h"

#include <cstring>

namespace cohort::distribute::COHORT_SIMD_NAMESPACE {
namespace {

/// One cache line of elements. The compiler splits it into what the instruction set has.
template <class T>
struct Line {
  static constexpr int64_t kElements = 64 / static_cast<int64_t>(sizeof(T));
  typedef T Vector __attribute__((vector_size(64)));
  Vector v;

  static Line load(const T* from) {
    Line line;
    std::memcpy(&line.v, from, sizeof line.v);
    return line;
  }
  void store(T* to) const { std::memcpy(to, &v, sizeof v); }
};

template <class T>
void sum_pair(T* out, const T* a, const T* b, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i);
    x.v += Line<T>::load(b + i).v;
    x.store(out + i);
  }
  for (; i < n; ++i) out[i] = a[i] + b[i];
}

template <class T>
void sum_four(T* out, const T* a, const T* b, const T* c, const T* d, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i), y = Line<T>::load(c + i);
    x.v += Line<T>::load(b + i).v;
    y.v += Line<T>::load(d + i).v;
    x.v += y.v;
    x.store(out + i);
  }
  for (; i < n; ++i) out[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

template <class T>
void sum_pair_in_place(T* a, T* b, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i);
    x.v += Line<T>::load(b + i).v;
    x.store(a + i);
    x.store(b + i);
  }
  for (; i < n; ++i) a[i] = b[i] = a[i] + b[i];
}

template <class T>
void sum_four_in_place(T* a, T* b, T* c, T* d, int64_t n) {
  int64_t i = 0;
  for (; i + Line<T>::kElements <= n; i += Line<T>::kElements) {
    Line<T> x = Line<T>::load(a + i), y = Line<T>::load(c + i);
    x.v += Line<T>::load(b + i).v;
    y.v += Line<T>::load(d + i).v;
    x.v += y.v;
    x.store(a + i);
    x.store(b + i);
    x.store(c + i);
    x.store(d + i);
  }
  for (; i < n; ++i) a[i] = b[i] = c[i] = d[i] = (a[i] + b[i]) + (c[i] + d[i]);
}

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Without branches, so that the compiler takes vectors: every case is computed, one is chosen.
void f32_to_f16(const float* x, uint16_t* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t u = bits_of(x[i]), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
    const uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t half = magnitude < 0x38800000u ? subnormal : normal;
    half = magnitude >= 0x477ff000u ? 0x7c00u : half;
    half = magnitude > 0x7f800000u ? 0x7e00u : half;
    y[i] = static_cast<uint16_t>(sign | half);
  }
}

void f16_to_f32(const uint16_t* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t sign = static_cast<uint32_t>(x[i] & 0x8000u) << 16, magnitude = x[i] & 0x7fffu;
    const uint32_t normal = (magnitude << 13) + 0x38000000u;
    const uint32_t subnormal =
        bits_of(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
    uint32_t bits = magnitude < 0x400u ? subnormal : normal;
    bits = magnitude >= 0x7c00u ? 0x7f800000u | (magnitude << 13) : bits;
    y[i] = float_of(sign | bits);
  }
}

void f32_to_bf16(const float* x, uint16_t* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t u = bits_of(x[i]), rounded = u + 0x7fffu + ((u >> 16) & 1u);
    y[i] = static_cast<uint16_t>(((u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : rounded) >> 16);
  }
}

void bf16_to_f32(const uint16_t* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = float_of(static_cast<uint32_t>(x[i]) << 16);
}

template <class T>
SumLoops<T> loops() {
  return {sum_pair<T>, sum_four<T>, sum_pair_in_place<T>, sum_four_in_place<T>};
}

}  // namespace

void fill_sums(SumTable& table) {
  table = {loops<float>(),   loops<double>(),          loops<int32_t>(),
           loops<int64_t>(), {f32_to_f16, f16_to_f32}, {f32_to_bf16, bf16_to_f32}};
}

}  // namespace cohort::distribute::COHORT_SIMD_NAMESPACE
