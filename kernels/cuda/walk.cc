#include "cohort/kernels/cuda/walk.h"

#include <algorithm>
#include <limits>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

// What Walk::sizes holds of an axis: 0 for one that does not fit, which only a walk of that axis
// alone may have, because it does not look.
uint32_t axis_size(int64_t size) {
  return size <= std::numeric_limits<uint32_t>::max() ? static_cast<uint32_t>(size) : 0;
}

// Whether axis `axis` continues the walk's last axis for every array.
bool merges(const Walk& walk, int64_t size, std::span<const std::span<const int64_t>> strides,
            size_t axis) {
  if (walk.rank == 0) return false;
  if (axis_size(walk.sizes[walk.rank - 1] * size) == 0) return false;
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
  walk.sizes[last] = axis_size(walk.sizes[last] * size);
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
  const bool fits = walk.rank <= 1 || walk.num_elements == 0 ||
                    std::find(walk.sizes, walk.sizes + walk.rank, 0u) == walk.sizes + walk.rank;
  if (!fits) throw Unimplemented("walk: got an axis of 2^32 elements or more beside others");
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
