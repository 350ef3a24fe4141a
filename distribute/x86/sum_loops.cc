#include "cohort/distribute/sum_loops.h"

#include <emmintrin.h>

#include <cstring>

namespace cohort::distribute {

namespace simd_baseline {
void fill_sums(SumTable& table);
}
// Null where a build left the level out (COHORT_SIMD_LEVELS).
namespace simd_avx2 {
[[gnu::weak]] void fill_sums(SumTable& table);
}
namespace simd_avx512 {
[[gnu::weak]] void fill_sums(SumTable& table);
}

namespace {

SumTable choose() {
  SumTable table;
  if (simd_avx512::fill_sums && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    simd_avx512::fill_sums(table);
  } else if (simd_avx2::fill_sums && __builtin_cpu_supports("avx2") &&
             __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    simd_avx2::fill_sums(table);
  } else {
    simd_baseline::fill_sums(table);
  }
  return table;
}

}  // namespace

const SumTable& sum_table() {
  static const SumTable table = choose();
  return table;
}

void copy_for_others(void* to, const void* from, size_t bytes) {
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
  size_t at = 0;
  if (reinterpret_cast<size_t>(out) % 64 == 0) {
    for (; at + 64 <= bytes; at += 64) {
      __m128i line[4];
      std::memcpy(line, in + at, sizeof line);
      for (int i = 0; i < 4; ++i)
        _mm_stream_si128(reinterpret_cast<__m128i*>(out + at) + i, line[i]);
    }
    _mm_sfence();  // streaming stores are not ordered by a release
  }
  if (at < bytes) std::memcpy(out + at, in + at, bytes - at);
}

}  // namespace cohort::distribute
