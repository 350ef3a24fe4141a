#pragma once

#include "cohort/core/graph/op.h"

/// What is done to segments of a parameter group of which a rank has a range
/// (core/runtime/parameter_group.h). Attrs "group", "offsets" and "elements" (of each segment),
/// "first" (element of the group that the range begins with; set when the collectives are planned).
namespace cohort::ops {

/// Where each variable lies in the group.
struct SegmentTable {
  std::vector<int64_t> offsets;
  std::vector<int64_t> elements;
};
/// A segment's sum is that of the sums over its lines of so many elements, which ranges do not cut.
inline constexpr int64_t kSumLine = 4096;

/// Op "SegmentSums": flat floating x, this rank's range -> f64 [L]: the sum over each line of each
/// segment, one after the other; 0 for those of other ranks.
Value segment_sums(Value x, const SegmentTable& table, int64_t group);
/// Op "SegmentTotals": f64 [L] -> a scalar of `dtype` for each segment, with the bits of
/// reduce_sum.
std::vector<Value> segment_totals(Value sums, const SegmentTable& table, DType dtype);
/// Op "SpreadSegments": a scalar for each segment -> this rank's range, flat: the scalar of the
/// segment that an element is in, 0 in padding.
Value spread_segments(std::span<const Value> scalars, const SegmentTable& table, int64_t group,
                      int64_t elements);

void register_segments(OpRegistry& ops);

}  // namespace cohort::ops
