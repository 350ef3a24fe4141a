#pragma once

#include <cstddef>

#include "cohort/kernels/cuda/walk.h"

namespace cohort::cuda {

/// Which elements of an array become one: output o takes the elements at
/// place(kept, 0, o) + place(reduced, 0, r) for every r. How they are shared out among blocks
/// depends on the shape alone, so equal input gives equal bits.
struct Reduction {
  Walk kept;
  Walk reduced;
  /// Neighbouring outputs are neighbours in the array: threads of a warp take one output each.
  /// Otherwise a block's threads share the elements of one output.
  bool columns = false;
  /// Parts into which the elements of each output are split; their results are combined in a
  /// second pass when there is more than one.
  int64_t splits = 1;

  constexpr int64_t num_outputs() const { return kept.num_elements; }
  constexpr int64_t num_reduced() const { return reduced.num_elements; }
  /// For partial results of `bytes` each.
  size_t workspace_bytes(size_t bytes) const {
    return splits > 1 ? static_cast<size_t>(splits * num_outputs()) * bytes : 0;
  }
};

/// The sum over the rows of an array [rows, columns].
Reduction reduce_rows(int64_t rows, int64_t columns);

}  // namespace cohort::cuda
