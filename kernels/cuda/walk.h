#pragma once

#include <cstdint>
#include <span>

namespace cohort::cuda {

/// How several arrays are walked together, element by element, in the row-major order of `sizes`.
/// Passed to kernels by value.
struct Walk {
  static constexpr int kMaxRank = 8;
  static constexpr int kMaxArrays = 3;

  int rank = 0;
  int num_arrays = 0;
  int64_t num_elements = 1;
  uint32_t sizes[kMaxRank] = {};  // of a walk of one axis it may be 0 for 2^32 and more
  int64_t strides[kMaxArrays][kMaxRank] = {};  // in elements; 0 repeats

  /// One run in which every array advances by 0 or 1: no index arithmetic is needed.
  bool is_flat() const;
  /// How array k advances in a flat walk.
  int step(int k) const { return rank == 0 ? 0 : static_cast<int>(strides[k][0]); }
};

/// Merges the axes that can be walked as one. `strides` holds one list for each array.
/// Throws Unimplemented when more than kMaxRank axes remain, and for an axis of 2^32 elements or
/// more beside others.
Walk make_walk(std::span<const int64_t> sizes, std::span<const std::span<const int64_t>> strides);

}  // namespace cohort::cuda
