#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "cohort/kernels/cpu/parallel.h"

namespace cohort::cpu {

/// Copies an n-dimensional block between two layouts of one element type; strides in elements.
class StridedCopy {
 public:
  /// All three lists have one entry for each axis, outermost first.
  StridedCopy(std::span<const int64_t> sizes, std::span<const int64_t> from_strides,
              std::span<const int64_t> to_strides, int64_t from_offset = 0, int64_t to_offset = 0);

  template <class T>
  void run(int num_threads, const T* from, T* to) const {
    const int64_t inner = sizes_.back();
    parallel_for(num_threads, rows_, grain_for(inner, 2 * inner * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) { copy_rows(begin, end, from, to); });
  }

 private:
  template <class T>
  void copy_rows(int64_t begin, int64_t end, const T* from, T* to) const {
    const int64_t inner = sizes_.back();
    const int64_t sf = from_strides_.back(), st = to_strides_.back();
    for (int64_t row = begin; row < end; ++row) {
      int64_t rest = row, f = from_offset_, t = to_offset_;
      for (size_t axis = sizes_.size() - 1; axis-- > 0;) {
        const int64_t index = rest % sizes_[axis];
        rest /= sizes_[axis];
        f += index * from_strides_[axis];
        t += index * to_strides_[axis];
      }
      if (sf == 1 && st == 1)
        std::copy_n(from + f, inner, to + t);
      else
        for (int64_t i = 0; i < inner; ++i) to[t + i * st] = from[f + i * sf];
    }
  }

  std::vector<int64_t> sizes_;  // never empty
  std::vector<int64_t> from_strides_;
  std::vector<int64_t> to_strides_;
  int64_t from_offset_;
  int64_t to_offset_;
  int64_t rows_ = 1;  // product of sizes_ but the last; 0 when there is nothing to copy
};

/// Of a row-major tensor with these dimensions.
std::vector<int64_t> row_major_strides(std::span<const int64_t> dims);

}  // namespace cohort::cpu
