// Convolution with bias and relu.
#include "cohort/kernels/cpu/onednn/conv_kernel.h"
#include "cohort/kernels/cpu/onednn/register.h"

namespace cohort::cpu::onednn {
namespace {

class ConvKernel final : public PackedConvKernel {
 public:
  ConvKernel(const KernelRequest& request, const WindowPlan& plan)
      : PackedConvKernel(request, plan) {
    const ConvDescs d(plan);
    const bool bias = request.inputs.size() > 2;
    const bool relu = request.node.attrs().get_or<std::string>("activation", "") == "relu";
    const auto desc = conv_forward_desc(d, bias, relu, context_.engine);
    kernel_ = PackedKernel(context_, request.device, request.inputs[1], d.plain_kernel,
                           desc.weights_desc());
    std::vector<Argument> more;
    if (bias) more.emplace_back(DNNL_ARG_BIAS, d.bias);
    bind(dnnl::convolution_forward(desc), desc.scratchpad_desc(),
         {{{DNNL_ARG_SRC, d.image},
           {DNNL_ARG_WEIGHTS, desc.weights_desc()},
           {DNNL_ARG_DST, d.output}}},
         more);
  }

  void compute() override {
    if (num_inputs() > 2) conv_.set(4, in(2).data<float>());
    PackedConvKernel::compute();
  }
};

std::unique_ptr<Kernel> make_conv(const KernelRequest& request) {
  if (!takes(request)) return nullptr;
  const WindowPlan plan = conv_plan(request.node.attrs(), request.inputs[0].shape,
                                    request.inputs[1].shape, request.outputs[0].shape);
  return make_or_refuse(request, team_for(request, plan),
                        [&] { return std::make_unique<ConvKernel>(request, plan); });
}

}  // namespace

void register_conv(KernelRegistry& registry) {
  registry.add("Conv2D", DeviceType::kCPU, kOneDnn, make_conv);
  registry.add("FusedConv2D", DeviceType::kCPU, kOneDnn, make_conv);
}

}  // namespace cohort::cpu::onednn
