#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// Several sources added element by element in the fixed binary tree of deterministic reductions,
/// and the sum, times scale, written to every destination (a source may be one). The tree over n
/// sources: the first 2^k of them, 2^k the largest power of two below n, as one tree, plus the tree
/// of the rest. One source: that source.
template <class T>
struct SumSourcesArgs {
  const T* const* sources = nullptr;
  int num_sources = 0;
  T* const* destinations = nullptr;
  int num_destinations = 0;
  std::ptrdiff_t count = 0;
  T scale = 1;
};

template <class T>
struct MoveRoutines {
  /// y[r, :] = table[indices[r], :]. Indices are not checked.
  void (*gather_rows)(const T* table, std::ptrdiff_t columns, const std::int64_t* indices,
                      std::ptrdiff_t rows, T* y);
  /// y[r, c] = table[indices[r], c] * scale + offset.
  void (*gather_rows_u8)(const std::uint8_t* table, std::ptrdiff_t columns,
                         const std::int64_t* indices, std::ptrdiff_t rows, T scale, T offset, T* y);
  /// y[c, r] = x[r, c] for r < rows, c < columns; x and y do not overlap.
  void (*transpose)(const T* x, std::ptrdiff_t ldx, T* y, std::ptrdiff_t ldy, std::ptrdiff_t rows,
                    std::ptrdiff_t columns);
  /// y += x.
  void (*add)(const T* x, T* y, std::ptrdiff_t count);
  /// y += a x, one rounding where the processor has fused multiply-add.
  void (*axpy)(T a, const T* x, T* y, std::ptrdiff_t count);
  /// y = a x; y may be x.
  void (*scale)(T a, const T* x, T* y, std::ptrdiff_t count);
  void (*sum_sources)(const SumSourcesArgs<T>& args);
  /// y = x, past the caches: for data that is not read again soon by this core.
  void (*stream_copy)(const T* x, T* y, std::ptrdiff_t count);
};

/// Between single precision and the 16-bit formats; to 16 bits by rounding to nearest even, NaN
/// stays NaN.
struct ConvertRoutines {
  void (*f32_to_f16)(const float* x, std::uint16_t* y, std::ptrdiff_t count);
  void (*f16_to_f32)(const std::uint16_t* x, float* y, std::ptrdiff_t count);
  void (*f32_to_bf16)(const float* x, std::uint16_t* y, std::ptrdiff_t count);
  void (*bf16_to_f32)(const std::uint16_t* x, float* y, std::ptrdiff_t count);
};

}  // namespace cohort::cpu
