#pragma once

#include <cstddef>

namespace cohort::cpu {

/// C = op(A) op(B), with C: [M, N], op(A): [M, K], op(B): [K, N], all row-major; then, in this
/// order,
/// += the old C (accumulate), += bias[N] to every row, and max(0, .) (relu; NaN stays NaN).
/// A is stored [M, K], or [K, M] where transpose_a; B is stored [K, N], or [N, K] where
/// transpose_b. Leading dimensions count elements. C overlaps nothing else.
template <class T>
struct GemmArgs {
  std::ptrdiff_t m = 0;
  std::ptrdiff_t n = 0;
  std::ptrdiff_t k = 0;
  const T* a = nullptr;
  std::ptrdiff_t lda = 0;
  bool transpose_a = false;
  const T* b = nullptr;
  std::ptrdiff_t ldb = 0;
  bool transpose_b = false;
  T* c = nullptr;
  std::ptrdiff_t ldc = 0;
  const T* bias = nullptr;
  bool accumulate = false;
  bool relu = false;
  /// gemm_scratch_bytes(), aligned to 64 bytes; this call's alone.
  std::byte* scratch = nullptr;
};

/// The product of rows [begin, end) of C alone, for one thread of a team (each with its own
/// scratch).
template <class T>
GemmArgs<T> gemm_rows(GemmArgs<T> args, std::ptrdiff_t begin, std::ptrdiff_t end) {
  args.a += args.transpose_a ? begin : begin * args.lda;
  args.c += begin * args.ldc;
  args.m = end - begin;
  return args;
}

/// The bits of an element of C depend on its row of op(A), its column of op(B) and K alone: not on
/// M, N, the leading dimensions, the transpositions, or the rows and columns computed with it. It
/// is the chain of fused multiply-adds over k in rising order, from zero, by blocks of K whose sums
/// are then added in order.
template <class T>
struct GemmRoutines {
  void (*gemm)(const GemmArgs<T>& args);
  /// Never more for fewer rows. Reads n, k and the transpositions only.
  std::size_t (*gemm_scratch_bytes)(const GemmArgs<T>& args);
};

}  // namespace cohort::cpu
