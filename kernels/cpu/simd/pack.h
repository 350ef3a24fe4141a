// Copies of operands in the order in which tiles read them.
#pragma once

#include "cohort/kernels/cpu/simd/transpose_block.h"
#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

/// to[k][r] = from[r * ld + k] for r < rows <= width, k < count; zero for the other r < width.
template <class T>
inline void pack_transposed(const T* from, Index ld, Index rows, Index count, T* to, Index width) {
  for (Index r0 = 0; r0 < width; r0 += kLanes<T>) {
    const auto block = [&](Index k, auto lanes, Index columns) {
      Vec<T> v[kLanes<T>];
#pragma GCC unroll 16
      for (Index r = 0; r < kLanes<T>; ++r)
        v[r] = r0 + r < rows ? load(from + (r0 + r) * ld + k, lanes) : Vec<T>{};
      transpose_block<T>(v);
#pragma GCC unroll 16
      for (Index i = 0; i < kLanes<T>; ++i)
        if (i < columns) store(to + (k + i) * width + r0, v[i]);
    };
    Index k = 0;
    for (; k + kLanes<T> <= count; k += kLanes<T>) block(k, AllLanes{}, kLanes<T>);
    if (k < count) block(k, first_lanes<T>(count - k), count - k);
  }
}

/// to[k][r] = from[k * ld + r] for r < rows <= width, k < count.
template <class T>
inline void pack_rows(const T* from, Index ld, Index rows, Index count, T* to, Index width) {
  for (Index k = 0; k < count; ++k)
    for_vectors<T>(rows, [&](Index r, auto lanes) {
      store(to + k * width + r, load(from + k * ld + r, lanes));
    });
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
