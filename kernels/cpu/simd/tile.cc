#include "cohort/kernels/cpu/simd/tile.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

/// Pointers to every third row of A: x86 reaches the rows between by an index register.
template <class T, int rows>
struct StridedRows {
  const T* base[(rows + 2) / 3];
  Index a_row;

  StridedRows(const Tile<T>& t, const T* a) : a_row(t.a_row) {
#pragma GCC unroll 8
    for (int i = 0; i < (rows + 2) / 3; ++i) base[i] = a + i * t.a_three_rows;
  }
  T at(int r, int k) const { return base[r / 3][(r % 3) * a_row + k]; }
  void advance(int k) {
#pragma GCC unroll 8
    for (int i = 0; i < (rows + 2) / 3; ++i) base[i] += k;
  }
};

template <class T, int rows>
struct AdjacentRows {
  const T* base;
  Index a_col;

  AdjacentRows(const Tile<T>& t, const T* a) : base(a), a_col(t.a_col) {}
  T at(int r, int k) const { return base[k * a_col + r]; }
  void advance(int k) { base += k * a_col; }
};

template <class T, int rows, int vecs, bool masked>
struct Accumulators {
  Vec<T> sum[rows][vecs];

  template <class Rows>
  void multiply_add(const Rows& a, const T* b, Index b_row, FirstLanes<T> last, int k) {
    Vec<T> row[vecs];
#pragma GCC unroll 4
    for (int j = 0; j < vecs; ++j) {
      const T* p = b + k * b_row + j * kLanes<T>;
      row[j] = masked && j == vecs - 1 ? load(p, last) : load(p);
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Vec<T> x = broadcast(a.at(r, k));
#pragma GCC unroll 4
      for (int j = 0; j < vecs; ++j) sum[r][j] = fma(x, row[j], sum[r][j]);
    }
  }

  /// change(sum, r, j, lanes) for every vector of the tile.
  template <class Change>
  void for_each(const Tile<T>& t, Change change) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int j = 0; j + 1 < vecs; ++j) change(sum[r][j], r, j * kLanes<T>, AllLanes{});
      std::conditional_t<masked, FirstLanes<T>, AllLanes> lanes;
      if constexpr (masked) lanes = t.last_lanes;
      change(sum[r][vecs - 1], r, (vecs - 1) * kLanes<T>, lanes);
    }
  }

  /// C is needed after the products: by then its lines are in the first-level cache, owned.
  static void prefetch(const Tile<T>& t) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < vecs; ++j) __builtin_prefetch(t.c + r * t.ldc + j * kLanes<T>, 1);
  }

  void finish(const Tile<T>& t) {
    using V = Vec<T>;
    if (t.add_c)
      for_each(t,
               [&](V& y, int r, Index j, auto lanes) { y = load(t.c + r * t.ldc + j, lanes) + y; });
    if (t.bias)
      for_each(t, [&](V& y, int, Index j, auto lanes) { y = y + load(t.bias + j, lanes); });
    if (t.relu) for_each(t, [](V& y, int, Index, auto) { y = max(V{}, y); });
    for_each(t, [&](V& y, int r, Index j, auto lanes) { store(t.c + r * t.ldc + j, y, lanes); });
  }
};

template <class T, int rows, int vecs, bool masked, bool adjacent>
void compute_tile(const Tile<T>& t) {
  using Rows = std::conditional_t<adjacent, AdjacentRows<T, rows>, StridedRows<T, rows>>;
  Accumulators<T, rows, vecs, masked> acc = {};
  acc.prefetch(t);
  for (Index segment = 0; segment < t.segments; ++segment) {
    Rows a(t, t.a + segment * t.a_segment);
    const T* b = t.b + segment * t.b_segment;
    constexpr int unroll = 4;
    Index k = t.k;
    for (; k >= unroll; k -= unroll) {
#pragma GCC unroll 4
      for (int u = 0; u < unroll; ++u) acc.multiply_add(a, b, t.b_row, t.last_lanes, u);
      a.advance(unroll);
      b += unroll * t.b_row;
    }
    for (; k > 0; --k) {
      acc.multiply_add(a, b, t.b_row, t.last_lanes, 0);
      a.advance(1);
      b += t.b_row;
    }
  }
  acc.finish(t);
}

/// [rows - 1][vecs - 1][masked][adjacent]
template <class T>
struct TileTable {
  TileFunction<T> at[kTileRows][kTileVecs][2][2];
};

template <class T, int rows, std::size_t... v>
constexpr void fill_rows(TileTable<T>& table, std::index_sequence<v...>) {
  ((table.at[rows - 1][v][0][0] = compute_tile<T, rows, v + 1, false, false>,
    table.at[rows - 1][v][0][1] = compute_tile<T, rows, v + 1, false, true>,
    table.at[rows - 1][v][1][0] = compute_tile<T, rows, v + 1, true, false>,
    table.at[rows - 1][v][1][1] = compute_tile<T, rows, v + 1, true, true>),
   ...);
}

template <class T, std::size_t... r>
constexpr TileTable<T> make_tiles(std::index_sequence<r...>) {
  TileTable<T> table = {};
  (fill_rows<T, r + 1>(table, std::make_index_sequence<kTileVecs>{}), ...);
  return table;
}

template <class T>
constexpr TileTable<T> kTiles = make_tiles<T>(std::make_index_sequence<kTileRows>{});

}  // namespace

template <class T>
TileFunction<T> tile_function(Index rows, Index columns, bool adjacent) {
  const bool masked = columns % kLanes<T> != 0;
  return kTiles<T>.at[rows - 1][ceil_div(columns, kLanes<T>) - 1][masked][adjacent];
}

template TileFunction<float> tile_function(Index, Index, bool);
template TileFunction<double> tile_function(Index, Index, bool);

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
