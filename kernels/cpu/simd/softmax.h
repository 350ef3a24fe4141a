#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// Per row, in one pass over the memory: with s = softmax(logits[r, :]),
///   loss[r] = -log s[labels[r]];   backprop[r, c] = (s[c] - (c == labels[r])) * (row_scale ?
///   row_scale[r] : 1)
/// backprop may be null, or logits itself. L is std::int32_t, std::int64_t or std::uint8_t.
template <class T, class L>
struct SparseCrossEntropyArgs {
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t columns = 0;
  const T* logits = nullptr;
  const L* labels = nullptr;
  T* loss = nullptr;
  T* backprop = nullptr;
  const T* row_scale = nullptr;
};

/// The same with labels [rows, columns], which may sum to any number:
///   loss[r] = -sum over c of labels[r, c] log s[c];
///   backprop[r, c] = s[c] * sum(labels[r, :]) - labels[r, c], scaled as above.
template <class T>
struct CrossEntropyArgs {
  std::ptrdiff_t rows = 0;
  std::ptrdiff_t columns = 0;
  const T* logits = nullptr;
  const T* labels = nullptr;
  T* loss = nullptr;
  T* backprop = nullptr;
  const T* row_scale = nullptr;
};

/// All along rows of [rows, columns], contiguous; outputs may be the inputs. A row is computed
/// alone: its bits do not depend on the other rows. A NaN makes its row NaN.
template <class T>
struct SoftmaxRoutines {
  void (*softmax)(const T* x, T* y, std::ptrdiff_t rows, std::ptrdiff_t columns);
  void (*log_softmax)(const T* x, T* y, std::ptrdiff_t rows, std::ptrdiff_t columns);
  /// dx = y (dy - sum(dy y)) from the softmax y.
  void (*softmax_grad)(const T* dy, const T* y, T* dx, std::ptrdiff_t rows, std::ptrdiff_t columns);
  /// dx = dy - e^y sum(dy) from the log-softmax y.
  void (*log_softmax_grad)(const T* dy, const T* y, T* dx, std::ptrdiff_t rows,
                           std::ptrdiff_t columns);
  /// Returns the first row whose label is not in [0, columns), or -1. Such rows get NaN.
  std::ptrdiff_t (*sparse_cross_entropy_i32)(const SparseCrossEntropyArgs<T, std::int32_t>& args);
  std::ptrdiff_t (*sparse_cross_entropy_i64)(const SparseCrossEntropyArgs<T, std::int64_t>& args);
  std::ptrdiff_t (*sparse_cross_entropy_u8)(const SparseCrossEntropyArgs<T, std::uint8_t>& args);
  void (*cross_entropy)(const CrossEntropyArgs<T>& args);
};

}  // namespace cohort::cpu
