#include "core/ops/collective.h"

#include "core/runtime/communicator.h"
#include "kernels/cuda/cuda_kernel.h"
#include "kernels/cuda/register.h"

namespace cohort::cuda {
namespace {

// For values outside buckets: each input is copied to its output and reduced there. Without a
// communicator that is all.
class AllReduceKernel final : public Kernel {
 public:
  explicit AllReduceKernel(const KernelRequest& request)
      : inputs_(request.inputs.begin(), request.inputs.end()),
        outputs_(request.outputs.begin(), request.outputs.end()),
        stream_(stream_of(request)) {
    if (!request.communicator) return;
    const auto op = static_cast<ops::ReduceOp>(request.node.attrs().get<int64_t>("reduce_op"));
    for (const Operand& y : outputs_)
      requests_.push_back(
          request.communicator->prepare_all_reduce(y.slot, y.dtype, y.num_elements(), op));
  }

  void run() override {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (*inputs_[i].slot != *outputs_[i].slot)
        check(cudaMemcpyAsync(*outputs_[i].slot, *inputs_[i].slot, outputs_[i].num_bytes(),
                              cudaMemcpyDeviceToDevice, stream_),
              "all_reduce");
      if (!requests_.empty()) requests_[i]->start();
    }
    for (const auto& request : requests_) request->wait();
  }
  bool can_share(int output, int input) const override { return output == input; }

 private:
  std::vector<Operand> inputs_;
  std::vector<Operand> outputs_;
  cudaStream_t stream_;
  std::vector<std::unique_ptr<Communicator::Request>> requests_;
};

std::unique_ptr<Kernel> make_all_reduce(const KernelRequest& request) {
  return std::make_unique<AllReduceKernel>(request);
}

}  // namespace

void register_collective(KernelRegistry& kernels) {
  kernels.add("AllReduce", DeviceType::kGPU, "cuda", make_all_reduce);
}

}  // namespace cohort::cuda
