#include "cohort/kernels/cuda/update_segments.h"

#include "cohort/core/graph/op.h"
#include "cohort/kernels/cuda/cuda_kernel.h"

namespace cohort::cuda {

UpdateSegments::UpdateSegments(const KernelRequest& request)
    : inputs_(request.inputs.begin(), request.inputs.end()),
      variables_(request.variables.begin(), request.variables.end()),
      decay_(request.node.attrs().get_or<std::vector<double>>("weight_decay", {})),
      count_(inputs_.size() - static_cast<size_t>(*request.node.op().group_inputs)),
      fault_(device_of(request).faults().device()) {
  segments_.reserve(count_);
}

std::span<const UpdateSegment> UpdateSegments::gather() {
  segments_.clear();
  for (size_t i = 0; i < count_; ++i) {
    const UpdateSegment next = segment(i);
    if (segments_.empty() || !append(segments_.back(), next)) segments_.push_back(next);
  }
  return segments_;
}

UpdateSegment UpdateSegments::segment(size_t i) const {
  UpdateSegment s = {};
  s.arrays[0] = *inputs_[i].slot;
  for (size_t k = 0; k + 1 < num_arrays(); ++k) s.arrays[k + 1] = *variables_[k * count_ + i].slot;
  s.num_elements = variables_[i].num_elements();
  s.weight_decay = decay_.empty() ? 0 : decay_[i];
  return s;
}

// Makes `next` part of `last` where it begins behind last in every array, at the next 64 bytes: a
// bucket pads its variables to that, and what the padding holds is nobody's.
bool UpdateSegments::append(UpdateSegment& last, const UpdateSegment& next) const {
  const auto element_bytes = static_cast<int64_t>(size_of(dtype()));
  const int64_t bytes = (last.num_elements * element_bytes + 63) / 64 * 64;
  if (last.weight_decay != next.weight_decay) return false;
  for (size_t k = 0; k < num_arrays(); ++k)
    if (static_cast<const std::byte*>(last.arrays[k]) + bytes != next.arrays[k]) return false;
  last.num_elements = bytes / element_bytes + next.num_elements;
  return true;
}

}  // namespace cohort::cuda
