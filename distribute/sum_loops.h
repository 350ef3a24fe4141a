#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::distribute {

/// Sums of n elements of T for the numbers of ranks that are worth a loop of their own. Pointers
/// need no alignment; buffers are equal or apart.
template <class T>
struct SumLoops {
  /// out = a + b
  void (*pair)(T* out, const T* a, const T* b, int64_t n);
  /// out = (a + b) + (c + d)
  void (*four)(T* out, const T* a, const T* b, const T* c, const T* d, int64_t n);
  /// a = b = a + b
  void (*pair_in_place)(T* a, T* b, int64_t n);
  /// a = b = c = d = (a + b) + (c + d)
  void (*four_in_place)(T* a, T* b, T* c, T* d, int64_t n);
};

/// Between f32 and a half type held as bits, rounding to nearest even, as Half and BFloat16 do.
struct HalfLoops {
  void (*narrow)(const float* x, uint16_t* y, int64_t n);
  void (*widen)(const uint16_t* x, float* y, int64_t n);
};

struct SumTable {
  SumLoops<float> f32;
  SumLoops<double> f64;
  SumLoops<int32_t> i32;
  SumLoops<int64_t> i64;
  HalfLoops f16;
  HalfLoops bf16;
};

/// The loops of the best instruction set here: distribute/simd, compiled for each.
const SumTable& sum_table();

/// memcpy that leaves `to` out of this core's caches, where the processor can: another core reads
/// it next. Visible to it like an ordinary store followed by a release.
void copy_for_others(void* to, const void* from, size_t bytes);

}  // namespace cohort::distribute
