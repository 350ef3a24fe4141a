#include "cohort/kernels/cpu/strided_copy.h"

namespace cohort::cpu {

StridedCopy::StridedCopy(std::span<const int64_t> sizes, std::span<const int64_t> from_strides,
                         std::span<const int64_t> to_strides, int64_t from_offset,
                         int64_t to_offset)
    : from_offset_(from_offset), to_offset_(to_offset) {
  for (size_t axis = 0; axis < sizes.size(); ++axis) {
    if (sizes[axis] == 1) continue;
    const bool merge = !sizes_.empty() &&
                       from_strides_.back() == sizes[axis] * from_strides[axis] &&
                       to_strides_.back() == sizes[axis] * to_strides[axis];
    if (merge) {
      sizes_.back() *= sizes[axis];
      from_strides_.back() = from_strides[axis];
      to_strides_.back() = to_strides[axis];
    } else {
      sizes_.push_back(sizes[axis]);
      from_strides_.push_back(from_strides[axis]);
      to_strides_.push_back(to_strides[axis]);
    }
  }
  if (sizes_.empty()) {
    sizes_ = {1};
    from_strides_ = {1};
    to_strides_ = {1};
  }
  for (size_t axis = 0; axis + 1 < sizes_.size(); ++axis) rows_ *= sizes_[axis];
  if (sizes_.back() == 0) rows_ = 0;
}

std::vector<int64_t> row_major_strides(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  for (size_t axis = dims.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= dims[axis];
  }
  return strides;
}

}  // namespace cohort::cpu
