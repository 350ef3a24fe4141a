#pragma once

#include "cohort/core/graph/op.h"

/// Sliced gradients on their way through a reduction over replicas. Index kNoRow marks rows that
/// are not there; who applies slices passes over them.
namespace cohort::ops {

inline constexpr int32_t kNoRow = -1;
/// Indices are i32 here: larger tables are reduced as dense tensors.
inline constexpr int64_t kLargestTable = (int64_t{1} << 31) - 2;

/// Op "PadSlices": indices [K] (i32 or i64), values [K, …] -> indices [rows] (i32), values
/// [rows, …]; attr "rows". The rows added have index kNoRow and zeros. InvalidArgument for K >
/// rows.
Slices pad_slices(const Slices& slices, int64_t rows);

/// Op "CombineSlices": indices [M] (i32), values [M, …], in parts of `part_rows` rows (M when that
/// is 0), one for each replica -> as many rows, in which every index occurs once and all others are
/// kNoRow; attrs "part_rows", "shape" (of the table). Equal indices add in order within a part, and
/// the parts' sums in the binary tree over replicas: the bits that slices_to_dense of every part
/// and a reduction over replicas would give.
Slices combine_slices(const Slices& slices, int64_t part_rows = 0);
/// Whether their indices are those of combine_slices; values may have been changed since.
bool is_combined(const Slices& slices);

void register_slices(OpRegistry& ops);

}  // namespace cohort::ops
