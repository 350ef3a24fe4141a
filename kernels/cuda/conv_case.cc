#include "cohort/kernels/cuda/conv_case.h"

#include "cohort/kernels/cuda/bias.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/windows.h"

namespace cohort::cuda {
namespace {

// Adds the bias of a FusedConv2D to what `convolution` wrote.
class BiasedKernel final : public Kernel {
 public:
  BiasedKernel(const KernelRequest& request, std::unique_ptr<Kernel> convolution)
      : convolution_(std::move(convolution)),
        bias_(request.inputs[2]),
        y_(request.outputs[0]),
        relu_(request.node.attrs().get<std::string>("activation") == "relu"),
        stream_(stream_of(request)) {}
  size_t workspace_bytes() const override { return convolution_->workspace_bytes(); }
  void run() override {
    convolution_->run();
    const int64_t channels = bias_.num_elements();
    if (y_.num_elements() > 0)
      add_bias(y_.dtype, y_.num_elements() / channels, channels, *bias_.slot, relu_, *y_.slot,
               stream_);
  }

 private:
  std::unique_ptr<Kernel> convolution_;
  Operand bias_, y_;
  bool relu_;
  cudaStream_t stream_;
};

}  // namespace

ConvCase conv_case(const KernelRequest& request) {
  const std::string& op = request.node.op_name();
  const auto in = request.inputs;
  const Operand& out = request.outputs[0];
  const Attrs& attrs = request.node.attrs();
  if (op == "Conv2DBackwardInput")
    return {ConvPass::kBackwardInput,
            in[0],
            in[1],
            out,
            out,
            conv_window(attrs, out.shape, in[1].shape, in[0].shape)};
  if (op == "Conv2DBackwardKernel")
    return {ConvPass::kBackwardKernel,
            in[0],
            in[1],
            out,
            in[0],
            conv_window(attrs, in[0].shape, out.shape, in[1].shape)};
  return {ConvPass::kForward,
          in[0],
          in[1],
          out,
          in[0],
          conv_window(attrs, in[0].shape, in[1].shape, out.shape)};
}

std::unique_ptr<Kernel> with_bias(const KernelRequest& request, std::unique_ptr<Kernel> kernel) {
  if (!kernel || request.node.op_name() != "FusedConv2D") return kernel;
  const auto activation = request.node.attrs().get<std::string>("activation");
  if (activation != "" && activation != "relu") return nullptr;
  return std::make_unique<BiasedKernel>(request, std::move(kernel));
}

}  // namespace cohort::cuda
