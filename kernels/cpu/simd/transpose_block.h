// The transpose of one block of L x L lanes in registers.
#pragma once

#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

// Two rows `distance` apart exchange the off-diagonal squares of that size: `low` becomes the lanes
// whose bit `distance` is clear in either row, `high` those whose bit is set.
template <class T, std::size_t distance, std::size_t... i>
inline void exchange_squares(Vec<T>& low, Vec<T>& high, std::index_sequence<i...>) {
  constexpr Int<T> lanes = kLanes<T>;
  const VecInt<T> low_from = {static_cast<Int<T>>(i & distance ? lanes + i - distance : i)...};
  const VecInt<T> high_from = {static_cast<Int<T>>(i & distance ? lanes + i : i + distance)...};
  const Vec<T> new_low = __builtin_shuffle(low, high, low_from);
  high = __builtin_shuffle(low, high, high_from);
  low = new_low;
}

template <class T, std::size_t distance = 1>
inline void transpose_block(Vec<T> (&rows)[kLanes<T>]) {
  constexpr std::size_t lanes = kLanes<T>;
#pragma GCC unroll 16
  for (std::size_t r = 0; r < lanes; ++r)
    if (!(r & distance))
      exchange_squares<T, distance>(rows[r], rows[r + distance], std::make_index_sequence<lanes>{});
  if constexpr (2 * distance < lanes) transpose_block<T, 2 * distance>(rows);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
