#include "cohort/kernels/cpu/simd_levels.h"

#include <xmmintrin.h>

#include "cohort/kernels/cpu/simd_dispatch.h"

namespace cohort::cpu {

namespace simd_baseline {
void fill_table(Simd& table);
}
// Null where a build left the level out (COHORT_SIMD_LEVELS).
namespace simd_avx2 {
[[gnu::weak]] void fill_table(Simd& table);
}
namespace simd_avx512 {
[[gnu::weak]] void fill_table(Simd& table);
}

bool isa_supported(Isa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  switch (isa) {
    case Isa::kBaseline:
      return true;
    case Isa::kAvx2:
      return avx2 && simd_avx2::fill_table;
    case Isa::kAvx512:
      return avx2 && simd_avx512::fill_table && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  return false;
}

void fill_simd(Isa isa, Simd& table) {
  switch (isa) {
    case Isa::kBaseline:
      return simd_baseline::fill_table(table);
    case Isa::kAvx2:
      return simd_avx2::fill_table(table);
    case Isa::kAvx512:
      return simd_avx512::fill_table(table);
  }
}

bool flush_denormals() {
  constexpr unsigned kFlushToZero = 0x8000;
  constexpr unsigned kDenormalsAreZero = 0x0040;
  _mm_setcsr(_mm_getcsr() | kFlushToZero | kDenormalsAreZero);
  return true;
}

}  // namespace cohort::cpu
