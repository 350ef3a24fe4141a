#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cohort/core/dtype_id.h"

// Sums of all elements, of an array or of segments of a parameter group, have the same bits: those
// of lines of kLineElements, in f64, added up in one order.
namespace cohort::cuda {

inline constexpr int64_t kLineElements = 4096;

/// Where a line begins in the array at hand, and its elements; none: it lies elsewhere.
struct SumLine {
  int64_t begin;
  int64_t count;
};

/// Segments and a scalar of each, as a kernel argument.
struct SegmentScalars {
  static constexpr int kMax = 128;
  int count;
  int64_t begin[kMax], end[kMax];
  void* scalar[kMax];
};

/// sums[i] = the sum of line i of x, 0 where it has none. `lines`: in device memory; null: those of
/// an array of `elements`. Enqueues it; false when the dtype is not taken, as the others.
bool sum_lines(DType dtype, const void* x, const SumLine* lines, int64_t num_lines,
               int64_t elements, double* sums, cudaStream_t stream);
/// Each scalar = the sum of sums [begin, end).
bool total_lines(DType dtype, const double* sums, const SegmentScalars& segments,
                 cudaStream_t stream);
/// Elements [begin, end) of y = the segment's scalar; what is in none stays.
bool spread(DType dtype, const SegmentScalars& segments, void* y, cudaStream_t stream);

}  // namespace cohort::cuda
