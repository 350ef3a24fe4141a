// The matrix product by register tiles (after K. Goto and R. van de Geijn, "Anatomy of
// high-performance matrix multiplication", with the loops exchanged).
//
// A *tile* is up to kTileRows rows by kTileVecs vectors of C held in registers. A *row block* is
// the rows of one tile; a *panel* is the columns of one. K is cut into blocks so that the row block
// of A stays in the first-level cache, N so that the block of B stays in the second; for each row
// block the panels of B stream past it. B is packed panel by panel where it is transposed, A row
// block by row block where reading it in place would collide in the cache.
#include "cohort/kernels/cpu/simd/gemm.h"

#include "cohort/kernels/cpu/simd/pack.h"
#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/tile.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

constexpr Index kMaxK = 256;
constexpr Index kMaxN = 512;
template <class T>
constexpr Index kPanel = kTileVecs* kLanes<T>;
/// Elements from one k to the next in a packed row block.
template <class T>
constexpr Index kPackedRows = (kTileRows + kLanes<T> - 1) / kLanes<T>* kLanes<T>;

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
  const bool many_pages = a_bytes >= 4096 && b.k_size > 64;
  const bool collides = a_bytes % (g.transpose_a ? 4096 : 1024) == 0;
  b.pack_a = panels > 2 && ((g.transpose_a && many_pages) || collides);
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
    tile_.segments = 1;
    tile_.add_c = k0 > 0 || g.accumulate;
    tile_.relu = last && g.relu;
    bias_ = last ? g.bias : nullptr;
    tile_.last_lanes = first_lanes<T>(n_ % kLanes<T>);
  }

  void run() {
    if (s_.pack_b) pack_b();
    for_row_blocks(g_.m, [&](Index row, Index rows) { row_block(row, rows); });
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
      tile_.a_three_rows = 3 * g_.lda;
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
      tile_function<T>(rows, columns, adjacent)(tile_);
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
