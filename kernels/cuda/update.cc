#include "cohort/kernels/cuda/update.h"

#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

// The operands of an update in the order of core/ops/update.h, and its segments as they lie now.
class Segments {
 public:
  explicit Segments(const KernelRequest& request)
      : inputs_(request.inputs.begin(), request.inputs.end()),
        variables_(request.variables.begin(), request.variables.end()),
        decay_(request.node.attrs().get_or<std::vector<double>>("weight_decay", {})),
        count_(inputs_.size() - 3),
        fault_(device_of(request).faults().device()) {
    segments_.reserve(count_);
  }

  DType dtype() const { return variables_[0].dtype; }

  UpdateInputs inputs() const {
    return {inputs_[count_].data<float>(), inputs_[count_ + 1].data<int64_t>(),
            inputs_[count_ + 2].data<bool>(), fault_};
  }

  /// Variables of a bucket follow each other, so they become one segment. Allocates nothing.
  std::span<const UpdateSegment> gather() {
    segments_.clear();
    for (size_t i = 0; i < count_; ++i) {
      const UpdateSegment next = segment(i);
      if (segments_.empty() || !append(segments_.back(), next)) segments_.push_back(next);
    }
    return segments_;
  }

 private:
  UpdateSegment segment(size_t i) const {
    UpdateSegment s = {};
    s.parameter = *variables_[i].slot;
    s.gradient = *inputs_[i].slot;
    for (size_t slot = 0; (slot + 1) * count_ < variables_.size(); ++slot)
      s.slots[slot] = *variables_[(slot + 1) * count_ + i].slot;
    s.num_elements = variables_[i].num_elements();
    s.weight_decay = decay_.empty() ? 0 : decay_[i];
    return s;
  }

  // Makes `next` part of `last` where it begins behind last in every array, at the next 64 bytes:
  // a bucket pads its variables to that, and what the padding holds is nobody's.
  bool append(UpdateSegment& last, const UpdateSegment& next) const {
    const auto element_bytes = static_cast<int64_t>(size_of(dtype()));
    const int64_t bytes = (last.num_elements * element_bytes + 63) / 64 * 64;
    const auto follows = [bytes](const void* a, const void* b) {
      return a == nullptr ? b == nullptr : static_cast<const std::byte*>(a) + bytes == b;
    };
    bool all = last.weight_decay == next.weight_decay && follows(last.parameter, next.parameter) &&
               follows(last.gradient, next.gradient);
    for (int i = 0; i < UpdateSegment::kMaxSlots; ++i)
      all = all && follows(last.slots[i], next.slots[i]);
    if (all) last.num_elements = bytes / element_bytes + next.num_elements;
    return all;
  }

  std::vector<Operand> inputs_;  // gradients, learning_rate, step, apply
  std::vector<Operand> variables_;
  std::vector<double> decay_;
  size_t count_;
  const Fault* fault_;
  std::vector<UpdateSegment> segments_;
};

std::unique_ptr<Kernel> make_adam(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  const AdamNumbers numbers = {attrs.get<double>("beta_1"), attrs.get<double>("beta_2"),
                               attrs.get<double>("epsilon"), attrs.get_or<bool>("amsgrad", false)};
  return make_kernel(
      [numbers, segments = Segments(request), stream = stream_of(request)]() mutable {
        adam(segments.dtype(), numbers, segments.gather(), segments.inputs(), stream);
      });
}

std::unique_ptr<Kernel> make_sgd(const KernelRequest& request) {
  const Attrs& attrs = request.node.attrs();
  const SgdNumbers numbers = {attrs.get<double>("momentum"), attrs.get_or<bool>("nesterov", false)};
  return make_kernel(
      [numbers, segments = Segments(request), stream = stream_of(request)]() mutable {
        sgd(segments.dtype(), numbers, segments.gather(), segments.inputs(), stream);
      });
}

std::unique_ptr<Kernel> refuse_body(const KernelRequest& request) {
  throw Unimplemented(
      "{}: got an update by a body on a GPU ({}); want SGD or Adam without use_ema there, or the "
      "variables on CPU devices",
      request.node.attrs().get<std::string>("update"), request.node.name());
}

}  // namespace

void register_update(KernelRegistry& kernels) {
  kernels.add("AdamUpdate", DeviceType::kGPU, "cuda", make_adam);
  kernels.add("SgdUpdate", DeviceType::kGPU, "cuda", make_sgd);
  kernels.add("ElementwiseUpdate", DeviceType::kGPU, "none", refuse_body);
}

}  // namespace cohort::cuda
