// Convolution with bias and relu.
#include "kernels/cpu/cpu_kernel.h"
#include "kernels/cpu/onednn/conv_descs.h"
#include "kernels/cpu/onednn/register.h"

namespace cohort::cpu::onednn {
namespace {

class ConvKernel final : public CpuKernel {
 public:
  ConvKernel(const KernelRequest& request, const WindowPlan& plan) : CpuKernel(request) {
    const ConvDescs d(plan);
    const bool bias = request.inputs.size() > 2;
    const bool relu = request.node.attrs().get_or<std::string>("activation", "") == "relu";
    const auto desc = conv_forward_desc(d, bias, relu, context_.engine);
    scratchpad_ = desc.scratchpad_desc().get_size();
    kernel_ = PackedKernel(context_, request.device, request.inputs[1], d.plain_kernel,
                           desc.weights_desc());
    std::vector<std::pair<int, Desc>> arguments{{DNNL_ARG_SRC, d.image},
                                                {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                                                {DNNL_ARG_DST, d.output},
                                                {DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc()}};
    if (bias) arguments.emplace_back(DNNL_ARG_BIAS, d.bias);
    conv_ = Call(context_, dnnl::convolution_forward(desc), arguments);
  }

  size_t workspace_bytes() const override { return scratchpad_; }

  void run() override {
    conv_.set(0, in(0).data<float>());
    conv_.set(1, kernel_.data(context_));
    conv_.set(2, out(0).data<float>());
    conv_.set(3, workspace());
    if (num_inputs() > 2) conv_.set(4, in(2).data<float>());
    conv_.execute(context_);
  }

 private:
  Context context_;
  PackedKernel kernel_;
  size_t scratchpad_ = 0;
  Call conv_;
};

std::unique_ptr<Kernel> make_conv(const KernelRequest& request) {
  if (!takes(request)) return nullptr;
  const WindowPlan plan = conv_plan(request.node.attrs(), request.inputs[0].shape,
                                    request.inputs[1].shape, request.outputs[0].shape);
  return make_or_refuse(request, [&] { return std::make_unique<ConvKernel>(request, plan); });
}

}  // namespace

void register_conv(KernelRegistry& registry) {
  registry.add("Conv2D", DeviceType::kCPU, kOneDnn, make_conv);
  registry.add("FusedConv2D", DeviceType::kCPU, kOneDnn, make_conv);
}

}  // namespace cohort::cpu::onednn
