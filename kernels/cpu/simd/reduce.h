#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// Reductions in an order that depends on the shape and the instruction set alone.
template <class T>
struct ReduceRoutines {
  /// Along the rows of [rows, columns] with `ld` elements from row to row: y[rows]. An empty row
  /// sums to 0 and has the maximum -inf, the minimum inf. NaN wins over numbers. A row's bits do
  /// not depend on the other rows.
  void (*sum_rows)(const T* x, std::ptrdiff_t ld, T* y, std::ptrdiff_t rows,
                   std::ptrdiff_t columns);
  void (*max_rows)(const T* x, std::ptrdiff_t ld, T* y, std::ptrdiff_t rows,
                   std::ptrdiff_t columns);
  void (*min_rows)(const T* x, std::ptrdiff_t ld, T* y, std::ptrdiff_t rows,
                   std::ptrdiff_t columns);
  /// The first largest element of each row; the first NaN where there is one. columns >= 1.
  void (*argmax_rows)(const T* x, std::ptrdiff_t ld, std::int64_t* y, std::ptrdiff_t rows,
                      std::ptrdiff_t columns);
  /// y[c] (+)= the sum over rows r of x[r * ld + c], the rows added in order by blocks of 256. A
  /// column's bits do not depend on the other columns: a team splits the columns, or blocks of rows
  /// that it then adds in order.
  void (*sum_columns)(const T* x, std::ptrdiff_t ld, T* y, std::ptrdiff_t rows,
                      std::ptrdiff_t columns, bool accumulate);
  /// y[c] = the largest (smallest) of column c, NaN winning; rows 0 gives -inf (inf).
  void (*max_columns)(const T* x, std::ptrdiff_t ld, T* y, std::ptrdiff_t rows,
                      std::ptrdiff_t columns);
  void (*min_columns)(const T* x, std::ptrdiff_t ld, T* y, std::ptrdiff_t rows,
                      std::ptrdiff_t columns);
  /// Of a slice, added in blocks, the blocks in double precision.
  double (*sum)(const T* x, std::ptrdiff_t count);
  double (*sum_of_squares)(const T* x, std::ptrdiff_t count);
  /// No infinity and no NaN in it.
  bool (*all_finite)(const T* x, std::ptrdiff_t count);
};

}  // namespace cohort::cpu
