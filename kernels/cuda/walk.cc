#include "cohort/kernels/cuda/walk.h"

#include <limits>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

// Whether axis `axis` continues the walk's last axis for every array.
bool merges(const Walk& walk, int64_t size, std::span<const std::span<const int64_t>> strides,
            size_t axis) {
  if (walk.rank == 0) return false;
  for (int k = 0; k < walk.num_arrays; ++k)
    if (walk.strides[k][walk.rank - 1] != strides[static_cast<size_t>(k)][axis] * size)
      return false;
  return true;
}

void append_axis(Walk& walk, int64_t size, std::span<const std::span<const int64_t>> strides,
                 size_t axis) {
  const bool merged = merges(walk, size, strides, axis);
  if (!merged && walk.rank == Walk::kMaxRank)
    throw Unimplemented("walk: got more than {} axes that cannot be merged", Walk::kMaxRank);
  if (!merged) walk.sizes[walk.rank++] = 1;
  const int last = walk.rank - 1;
  const int64_t run = walk.sizes[last] * size;
  // A flat walk does not use sizes; others are refused below when this does not fit.
  walk.sizes[last] = static_cast<uint32_t>(run);
  for (int k = 0; k < walk.num_arrays; ++k)
    walk.strides[k][last] = strides[static_cast<size_t>(k)][axis];
}

}  // namespace

bool Walk::is_flat() const {
  if (rank > 1) return false;
  for (int k = 0; k < num_arrays; ++k)
    if (step(k) != 0 && step(k) != 1) return false;
  return true;
}

Walk make_walk(std::span<const int64_t> sizes, std::span<const std::span<const int64_t>> strides) {
  Walk walk;
  walk.num_arrays = static_cast<int>(strides.size());
  for (size_t axis = 0; axis < sizes.size(); ++axis) {
    walk.num_elements *= sizes[axis];
    if (sizes[axis] != 1) append_axis(walk, sizes[axis], strides, axis);
  }
  if (!walk.is_flat() && walk.num_elements > std::numeric_limits<int32_t>::max())
    throw Unimplemented("walk: got {} elements, not in one run; want at most 2^31 - 1",
                        walk.num_elements);
  return walk;
}

std::vector<int64_t> row_major_strides(std::span<const int64_t> sizes) {
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = 1;
  for (size_t axis = sizes.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= sizes[axis];
  }
  return strides;
}

Walk broadcast_walk(const Shape& output, std::span<const Operand> inputs) {
  const std::vector<int64_t> sizes = output.numbers();
  std::vector<std::vector<int64_t>> strides;
  for (const Operand& input : inputs) {
    const std::vector<int64_t> own = row_major_strides(input.shape.numbers());
    const size_t missing = sizes.size() - own.size();
    std::vector<int64_t>& all = strides.emplace_back(sizes.size(), 0);
    for (size_t axis = 0; axis < own.size(); ++axis)
      if (input.shape.size(static_cast<int>(axis)) != 1) all[missing + axis] = own[axis];
  }
  const std::vector<std::span<const int64_t>> views(strides.begin(), strides.end());
  return make_walk(sizes, views);
}

}  // namespace cohort::cuda
