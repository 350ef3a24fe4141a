#pragma once

#include <utility>
#include <vector>

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu {

/// The products that a MatMul or FusedMatMul node asks for: op(A) [M, K] times op(B) [K, N] for
/// each pair of matrices, the leading dimensions broadcast.
struct MatMulPlan {
  explicit MatMulPlan(const KernelRequest& request);

  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool bias = false;
  bool relu = false;
  /// For each matrix of the output, in order: where its A and B begin, in elements.
  std::vector<std::pair<int64_t, int64_t>> offsets;
};

}  // namespace cohort::cpu
