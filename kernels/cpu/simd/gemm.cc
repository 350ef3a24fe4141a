// The matrix product by register tiles (after K. Goto and R. van de Geijn, "Anatomy of
// high-performance matrix multiplication", with the loops exchanged).
//
// A *tile* is up to kTileRows rows by kTileVecs vectors of C held in registers. A *row block* is
// the rows of one tile; a *panel* is the columns of one. K is cut into blocks so that the row block
// of A stays in the first-level cache, N so that the block of B stays in the second; for each row
// block the panels of B stream past it. B is packed panel by panel where it is transposed, A row
// block by row block where reading it in place would collide in the cache.
#include "kernels/cpu/simd/gemm.h"

#include "kernels/cpu/simd/table.h"
#include "kernels/cpu/simd/transpose_block.h"
#include "kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

constexpr Index kMaxK = 384;
constexpr Index kMaxN = 256;
template <class T>
constexpr Index kPanel = kTileVecs* kLanes<T>;
/// Elements from one k to the next in a packed row block.
template <class T>
constexpr Index kPackedRows = (kTileRows + kLanes<T> - 1) / kLanes<T>* kLanes<T>;

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

/// Element (r, k) of the row block is a[r * a_row + k * a_col]; row k of the panel starts at b + k
/// * b_row.
template <class T>
struct Tile {
  const T* a;
  Index a_row;
  Index a_col;
  const T* b;
  Index b_row;
  T* c;
  Index ldc;
  Index k;
  const T* bias;
  bool add_c;
  bool relu;
  FirstLanes<T> last_lanes;
};

/// Pointers to rows of A three apart: x86 reaches the rows between by an index register.
template <class T, int rows>
struct StridedRows {
  const T* base[(rows + 2) / 3];
  Index a_row;

  explicit StridedRows(const Tile<T>& t) : a_row(t.a_row) {
#pragma GCC unroll 8
    for (int i = 0; i < (rows + 2) / 3; ++i) base[i] = t.a + 3 * i * a_row;
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

  explicit AdjacentRows(const Tile<T>& t) : base(t.a), a_col(t.a_col) {}
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
  Rows a(t);
  const T* b = t.b;
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

  acc.finish(t);
}

template <class T>
using TileFunction = void (*)(const Tile<T>&);

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

/// to[k][r] = from[r * ld + k] for r < rows <= width, k < count; zero for the other r < width.
template <class T>
void pack_transposed(const T* from, Index ld, Index rows, Index count, T* to, Index width) {
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
void pack_rows(const T* from, Index ld, Index rows, Index count, T* to, Index width) {
  for (Index k = 0; k < count; ++k)
    for_vectors<T>(rows, [&](Index r, auto lanes) {
      store(to + k * width + r, load(from + k * ld + r, lanes));
    });
}

template <class T>
struct Blocking {
  Index k_size;
  Index n_size;
  T* packed_a;
  T* packed_b;
  bool pack_a;
  bool pack_b;
};

template <class T>
Blocking<T> make_blocking(const GemmArgs<T>& g) {
  Blocking<T> b;
  b.k_size = g.k == 0 ? 0 : ceil_div(g.k, ceil_div(g.k, kMaxK));
  b.n_size = smaller(kMaxN, ceil_div(g.n, kPanel<T>) * kPanel<T>);
  b.packed_a = reinterpret_cast<T*>(g.scratch);
  b.packed_b = b.packed_a + b.k_size * kPackedRows<T>;
  // Reading in place costs nothing while the rows read together lie in different cache sets and few
  // pages.
  const Index panels = ceil_div(g.n, kPanel<T>);
  const Index a_bytes = g.lda * static_cast<Index>(sizeof(T));
  const Index b_bytes = g.ldb * static_cast<Index>(sizeof(T));
  b.pack_a = panels > 2 && (g.transpose_a ? a_bytes >= 4096 : a_bytes % 1024 == 0);
  b.pack_b = g.transpose_b || (g.m > 8 * kTileRows && b_bytes >= 2048);
  return b;
}

template <class T>
std::size_t gemm_scratch_bytes(const GemmArgs<T>& g) {
  const Blocking<T> b = make_blocking(g);
  return static_cast<std::size_t>(b.k_size * (kPackedRows<T> + b.n_size)) * sizeof(T);
}

/// One block of K and N: rows of C += or = the product, by row blocks of nearly equal height.
template <class T>
class Block {
 public:
  Block(const GemmArgs<T>& g, const Blocking<T>& blocking, Index k0, Index n0)
      : g_(g), s_(blocking), k0_(k0), n0_(n0) {
    k_ = smaller(s_.k_size, g.k - k0);
    n_ = smaller(s_.n_size, g.n - n0);
    const bool last = k0 + k_ >= g.k;
    tile_.ldc = g.ldc;
    tile_.k = k_;
    tile_.add_c = k0 > 0 || g.accumulate;
    tile_.relu = last && g.relu;
    bias_ = last ? g.bias : nullptr;
    tile_.last_lanes = first_lanes<T>(n_ % kLanes<T>);
  }

  void run() {
    if (s_.pack_b) pack_b();
    const Index blocks = ceil_div(g_.m, kTileRows);
    Index row = 0;
    for (Index i = 0; i < blocks; ++i) {
      const Index rows = g_.m / blocks + (i < g_.m % blocks);
      row_block(row, rows);
      row += rows;
    }
  }

 private:
  void pack_b() {
    for (Index j = 0; j < n_; j += kPanel<T>) {
      const Index columns = smaller(kPanel<T>, n_ - j);
      T* to = s_.packed_b + j * k_;
      if (g_.transpose_b)
        pack_transposed(g_.b + (n0_ + j) * g_.ldb + k0_, g_.ldb, columns, k_, to, kPanel<T>);
      else
        pack_rows(g_.b + k0_ * g_.ldb + n0_ + j, g_.ldb, columns, k_, to, kPanel<T>);
    }
  }

  void set_rows_of_a(Index row, Index rows) {
    const T* a = g_.transpose_a ? g_.a + k0_ * g_.lda + row : g_.a + row * g_.lda + k0_;
    if (s_.pack_a) {
      if (g_.transpose_a)
        pack_rows(a, g_.lda, rows, k_, s_.packed_a, kPackedRows<T>);
      else
        pack_transposed(a, g_.lda, rows, k_, s_.packed_a, kPackedRows<T>);
      tile_.a = s_.packed_a;
      tile_.a_col = kPackedRows<T>;
    } else {
      tile_.a = a;
      tile_.a_row = tile_.a_col = g_.lda;
    }
  }

  void row_block(Index row, Index rows) {
    set_rows_of_a(row, rows);
    const bool adjacent = s_.pack_a || g_.transpose_a;
    for (Index j = 0; j < n_; j += kPanel<T>) {
      tile_.b = s_.pack_b ? s_.packed_b + j * k_ : g_.b + k0_ * g_.ldb + n0_ + j;
      tile_.b_row = s_.pack_b ? kPanel<T> : g_.ldb;
      tile_.c = g_.c + row * g_.ldc + n0_ + j;
      tile_.bias = bias_ ? bias_ + n0_ + j : nullptr;
      const Index columns = smaller(kPanel<T>, n_ - j);
      const bool masked = columns % kLanes<T> != 0;
      kTiles<T>.at[rows - 1][ceil_div(columns, kLanes<T>) - 1][masked][adjacent](tile_);
    }
  }

  const GemmArgs<T>& g_;
  const Blocking<T>& s_;
  Index k0_, n0_;
  Index k_, n_;
  const T* bias_;
  Tile<T> tile_ = {};
};

template <class T>
void gemm(const GemmArgs<T>& g) {
  if (g.m <= 0 || g.n <= 0) return;
  const Blocking<T> blocking = make_blocking(g);
  Index k0 = 0;
  do {
    for (Index n0 = 0; n0 < g.n; n0 += blocking.n_size) Block<T>(g, blocking, k0, n0).run();
    k0 += blocking.k_size;
  } while (k0 < g.k);
}

template <class T>
void add(GemmRoutines<T>& routines) {
  routines.gemm = gemm<T>;
  routines.gemm_scratch_bytes = gemm_scratch_bytes<T>;
}

}  // namespace

void add_gemm(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
