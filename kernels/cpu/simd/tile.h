// The register tile under the matrix product and the convolutions.
#pragma once

#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

/// Columns of the widest tile.
template <class T>
constexpr Index kPanel = kTileVecs* kLanes<T>;

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

/// C = (add_c ? C : 0) + A B, then + bias, then relu, for one tile of C: rows <= kTileRows, columns
/// <= kPanel<T>. The sum runs over segments s and, in each, over k, in rising order:
///   element (r, k) of A in segment s is
///     a[s * a_segment + r / 3 * a_three_rows + r % 3 * a_row + k], or, where rows are adjacent,
///     a[s * a_segment + r + k * a_col];
///   row k of B in segment s starts at b + s * b_segment + k * b_row.
template <class T>
struct Tile {
  const T* a;
  Index a_row;
  Index a_three_rows;
  Index a_col;
  Index a_segment;
  const T* b;
  Index b_row;
  Index b_segment;
  T* c;
  Index ldc;
  Index k;
  Index segments;
  const T* bias;
  bool add_c;
  bool relu;
  FirstLanes<T> last_lanes;  // of the last vector of a row, where it is not whole
};

template <class T>
using TileFunction = void (*)(const Tile<T>&);

/// The function for tiles of that size. T is float or double.
template <class T>
TileFunction<T> tile_function(Index rows, Index columns, bool adjacent);

/// Cuts `rows` into tiles of nearly equal height: body(first row, height).
template <class Body>
[[gnu::always_inline]] inline void for_row_blocks(Index rows, Body body) {
  const Index blocks = ceil_div(rows, kTileRows);
  Index row = 0;
  for (Index i = 0; i < blocks; ++i) {
    const Index height = rows / blocks + (i < rows % blocks);
    body(row, height);
    row += height;
  }
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
