#include "cohort/kernels/cpu/broadcast.h"

namespace cohort::cpu {

BroadcastPlan::BroadcastPlan(const Shape& output, std::span<const Shape> inputs)
    : num_inputs_(static_cast<int>(inputs.size())) {
  COHORT_CHECK(num_inputs_ <= kMaxInputs);
  const int rank = output.rank();
  std::vector<Offsets> all(static_cast<size_t>(rank), Offsets{});
  for (size_t i = 0; i < inputs.size(); ++i) {
    int64_t stride = 1;
    for (int axis = inputs[i].rank() - 1; axis >= 0; --axis) {
      const int64_t size = inputs[i].size(axis);
      all[static_cast<size_t>(axis + rank - inputs[i].rank())][i] = size == 1 ? 0 : stride;
      stride *= size;
    }
  }
  for (int axis = 0; axis < rank; ++axis) {
    const int64_t size = output.size(axis);
    num_elements_ *= size;
    if (size == 1) continue;
    const Offsets& strides = all[static_cast<size_t>(axis)];
    bool merge = !sizes_.empty();
    for (int i = 0; merge && i < num_inputs_; ++i)
      merge = strides_.back()[static_cast<size_t>(i)] == size * strides[static_cast<size_t>(i)];
    if (merge) {
      sizes_.back() *= size;
      strides_.back() = strides;
    } else {
      sizes_.push_back(size);
      strides_.push_back(strides);
    }
  }
  if (sizes_.empty()) {
    sizes_ = {1};
    strides_ = {Offsets{}};
    for (int i = 0; i < num_inputs_; ++i) strides_[0][static_cast<size_t>(i)] = 1;
  }
  if (sizes_.size() > kMaxRank)
    throw Unimplemented("broadcast to {}: got {} axes that cannot be merged; want at most {}",
                        output, sizes_.size(), static_cast<int>(kMaxRank));
}

bool BroadcastPlan::is_flat() const {
  if (sizes_.size() != 1) return false;
  for (int i = 0; i < num_inputs_; ++i)
    if (inner_stride(i) != 1) return false;
  return true;
}

BroadcastPlan::Offsets BroadcastPlan::start(int64_t element,
                                            std::array<int64_t, kMaxRank>& index) const {
  Offsets offsets{};
  for (size_t axis = sizes_.size(); axis-- > 0;) {
    const int64_t size = sizes_[axis];
    index[axis] = size > 0 ? element % size : 0;
    if (size > 0) element /= size;
    for (int i = 0; i < num_inputs_; ++i)
      offsets[static_cast<size_t>(i)] += index[axis] * strides_[axis][static_cast<size_t>(i)];
  }
  return offsets;
}

}  // namespace cohort::cpu
