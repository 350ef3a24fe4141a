#include "core/ops/collective.h"

#include <cstring>

#include "core/runtime/communicator.h"
#include "kernels/cpu/cpu_kernel.h"
#include "kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

// For values outside buckets: each input is copied to its output and reduced there. Without a
// communicator that is all.
class AllReduceKernel final : public CpuKernel {
 public:
  explicit AllReduceKernel(const KernelRequest& request) : CpuKernel(request) {
    if (!request.communicator) return;
    const auto op = static_cast<ops::ReduceOp>(request.node.attrs().get<int64_t>("reduce_op"));
    for (const Operand& y : request.outputs)
      requests_.push_back(
          request.communicator->prepare_all_reduce(y.slot, y.dtype, y.num_elements(), op));
  }

  void run() override {
    for (int i = 0; i < num_outputs(); ++i) {
      const auto* from = in(i).data<const std::byte>();
      auto* to = out(i).data<std::byte>();
      if (from != to) std::memcpy(to, from, out(i).num_bytes());
      if (!requests_.empty()) requests_[static_cast<size_t>(i)]->start();
    }
    for (const auto& request : requests_) request->wait();
  }
  bool can_share(int output, int input) const override { return output == input; }

 private:
  std::vector<std::unique_ptr<Communicator::Request>> requests_;
};

class AllGatherKernel final : public CpuKernel {
 public:
  explicit AllGatherKernel(const KernelRequest& request) : CpuKernel(request) {
    if (!request.communicator) return;
    const Shape& y = request.outputs[0].shape;
    axis_ = y.axis(request.node.attrs().get<int64_t>("axis"), "all_gather");
    outer_ = y.num_elements(0, axis_);
    ranks_ = request.communicator->size();
    request_ = request.communicator->prepare_all_gather(
        request.inputs[0].slot, request.inputs[0].num_bytes(),
        outer_ == 1 ? request.outputs[0].slot : request.workspace);
  }

  size_t workspace_bytes() const override {
    return request_ && outer_ != 1 ? out(0).num_bytes() : 0;
  }

  void run() override {
    if (!request_) {
      std::memcpy(out(0).data<std::byte>(), in(0).data<std::byte>(), out(0).num_bytes());
      return;
    }
    request_->start();
    request_->wait();
    if (outer_ != 1) interleave();
  }

 private:
  // The workspace holds [ranks, outer, part]; the output is [outer, ranks, part].
  void interleave() const {
    if (out(0).num_bytes() == 0) return;
    const size_t part = in(0).num_bytes() / static_cast<size_t>(outer_);
    const std::byte* from = workspace();
    for (int rank = 0; rank < ranks_; ++rank)
      for (int64_t row = 0; row < outer_; ++row, from += part)
        std::memcpy(out(0).data<std::byte>() + static_cast<size_t>(row * ranks_ + rank) * part,
                    from, part);
  }

  int axis_ = 0;
  int64_t outer_ = 1;
  int ranks_ = 1;
  std::unique_ptr<Communicator::Request> request_;
};

template <class K>
std::unique_ptr<Kernel> make(const KernelRequest& request) {
  return std::make_unique<K>(request);
}

}  // namespace

void register_collective(KernelRegistry& registry) {
  registry.add("AllReduce", DeviceType::kCPU, kPlain, make<AllReduceKernel>);
  registry.add("AllGather", DeviceType::kCPU, kPlain, make<AllGatherKernel>);
}

}  // namespace cohort::cpu::plain
