#include "cohort/kernels/cpu/simd/reduce.h"

#include "cohort/kernels/cpu/simd/table.h"
#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {
namespace {

template <class T>
Vec<T> min_or_nan(Vec<T> a, Vec<T> b) {
  return a == a ? min(a, b) : a;
}

/// Takes a row into four chains in turn by accumulate(chain, vector), the rest of it into the first
/// chain; then combines the chains pairwise, then the lanes.
template <class T, class Accumulate, class Combine>
T fold_row(const T* x, Index columns, T neutral, Accumulate accumulate, Combine combine) {
  constexpr int chains = 4;
  Vec<T> part[chains];
  for (Vec<T>& p : part) p = broadcast(neutral);
  Index c = 0;
  for (; c + chains * kLanes<T> <= columns; c += chains * kLanes<T>)
#pragma GCC unroll 4
    for (int i = 0; i < chains; ++i) part[i] = accumulate(part[i], load(x + c + i * kLanes<T>));
  for_vectors<T>(columns - c, [&](Index j, auto lanes) {
    part[0] = accumulate(part[0], load_or(x + c + j, neutral, lanes));
  });
  return combine_lanes<T>(combine(combine(part[0], part[1]), combine(part[2], part[3])),
                          combine)[0];
}

template <class T, class Combine>
T fold_row(const T* x, Index columns, T neutral, Combine combine) {
  return fold_row(x, columns, neutral, combine, combine);
}

template <class T>
Vec<T> add_vectors(Vec<T> a, Vec<T> b) {
  return a + b;
}

template <class T>
void sum_rows(const T* x, Index ld, T* y, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r) y[r] = fold_row<T>(x + r * ld, columns, 0, add_vectors<T>);
}

template <class T>
void max_rows(const T* x, Index ld, T* y, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r)
    y[r] = fold_row<T>(x + r * ld, columns, -__builtin_inff(), max_or_nan<T>);
}

template <class T>
void min_rows(const T* x, Index ld, T* y, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r)
    y[r] = fold_row<T>(x + r * ld, columns, __builtin_inff(), min_or_nan<T>);
}

template <class T>
Index first_match(const T* x, Index columns, T value) {
  const bool want_nan = value != value;
  Index c = 0;
  for (; c + kLanes<T> <= columns; c += kLanes<T>) {
    const Vec<T> v = load(x + c);
    if (any(want_nan ? v != v : v == value)) break;
  }
  while (want_nan ? x[c] == x[c] : x[c] != value) ++c;
  return c;
}

template <class T>
void argmax_rows(const T* x, Index ld, std::int64_t* y, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r, x += ld) {
    const T highest = fold_row<T>(x, columns, -__builtin_inff(), max_or_nan<T>);
    y[r] = first_match(x, columns, highest);
  }
}

constexpr Index kRowBlock = 256;

/// One vector of columns, or several side by side.
template <class T, int vecs, class Lanes>
void sum_strip(const T* x, Index ld, T* y, Index rows, bool accumulate, Lanes lanes) {
  Vec<T> total[vecs];
#pragma GCC unroll 4
  for (int j = 0; j < vecs; ++j) total[j] = accumulate ? load(y + j * kLanes<T>, lanes) : Vec<T>{};
  for (Index r0 = 0; r0 < rows; r0 += kRowBlock) {
    const Index end = r0 + kRowBlock < rows ? r0 + kRowBlock : rows;
    Vec<T> part[vecs] = {};
    for (Index r = r0; r < end; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < vecs; ++j) part[j] = part[j] + load(x + r * ld + j * kLanes<T>, lanes);
#pragma GCC unroll 4
    for (int j = 0; j < vecs; ++j) total[j] = total[j] + part[j];
  }
#pragma GCC unroll 4
  for (int j = 0; j < vecs; ++j) store(y + j * kLanes<T>, total[j], lanes);
}

template <class T>
void sum_columns(const T* x, Index ld, T* y, Index rows, Index columns, bool accumulate) {
  Index c = 0;
  for (; c + 4 * kLanes<T> <= columns; c += 4 * kLanes<T>)
    sum_strip<T, 4>(x + c, ld, y + c, rows, accumulate, AllLanes{});
  for_vectors<T>(columns - c, [&](Index j, auto lanes) {
    sum_strip<T, 1>(x + c + j, ld, y + c + j, rows, accumulate, lanes);
  });
}

template <class T, class Combine>
void fold_columns(const T* x, Index ld, T* y, Index rows, Index columns, T neutral,
                  Combine combine) {
  for_vectors<T>(columns, [&](Index c, auto lanes) {
    Vec<T> result = broadcast(neutral);
    for (Index r = 0; r < rows; ++r) result = combine(result, load(x + r * ld + c, lanes));
    store(y + c, result, lanes);
  });
}

template <class T>
void max_columns(const T* x, Index ld, T* y, Index rows, Index columns) {
  fold_columns<T>(x, ld, y, rows, columns, -__builtin_inff(), max_or_nan<T>);
}

template <class T>
void min_columns(const T* x, Index ld, T* y, Index rows, Index columns) {
  fold_columns<T>(x, ld, y, rows, columns, __builtin_inff(), min_or_nan<T>);
}

constexpr Index kSumBlock = 1024;

template <class T>
double sum(const T* x, Index count) {
  double total = 0;
  for (Index i = 0; i < count; i += kSumBlock)
    total += fold_row<T>(x + i, count - i < kSumBlock ? count - i : kSumBlock, 0, add_vectors<T>);
  return total;
}

template <class T>
double sum_of_squares(const T* x, Index count) {
  double total = 0;
  for (Index i = 0; i < count; i += kSumBlock)
    total += fold_row<T>(
        x + i, count - i < kSumBlock ? count - i : kSumBlock, 0,
        [](Vec<T> sum, Vec<T> v) { return fma(v, v, sum); }, add_vectors<T>);
  return total;
}

/// x - x is zero for finite x and NaN otherwise.
template <class T>
bool all_finite(const T* x, Index count) {
  for (Index i = 0; i < count; i += kSumBlock) {
    const Index n = count - i < kSumBlock ? count - i : kSumBlock;
    VecInt<T> bad = {};
    for_vectors<T>(n, [&](Index j, auto lanes) {
      const Vec<T> v = load(x + i + j, lanes);
      const Vec<T> difference = v - v;
      bad = bad | (difference != difference);
    });
    if (any(bad)) return false;
  }
  return true;
}

template <class T>
void add(ReduceRoutines<T>& routines) {
  routines.sum_rows = sum_rows<T>;
  routines.max_rows = max_rows<T>;
  routines.min_rows = min_rows<T>;
  routines.argmax_rows = argmax_rows<T>;
  routines.sum_columns = sum_columns<T>;
  routines.max_columns = max_columns<T>;
  routines.min_columns = min_columns<T>;
  routines.sum = sum<T>;
  routines.sum_of_squares = sum_of_squares<T>;
  routines.all_finite = all_finite<T>;
}

}  // namespace

void add_reduce(Simd& table) {
  add<float>(table.f32);
  add<double>(table.f64);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
