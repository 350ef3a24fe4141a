// The two gradients of a convolution.
#include <algorithm>
#include <utility>

#include "cohort/kernels/cpu/onednn/conv_kernel.h"
#include "cohort/kernels/cpu/onednn/register.h"

namespace cohort::cpu::onednn {
namespace {

// With stride 1 the gradient of the input is a convolution itself, of dy with the kernel reversed
// in both directions and its channels swapped; oneDNN's forward convolution is the faster one for
// activations in [N, H, W, C].
//   dx[h, w, c] = sum over kh, kw, f of dy[h + pad - kh d, …, f] k[kh, kw, c, f]
class TransposedConvKernel final : public PackedConvKernel {
 public:
  static bool takes(const WindowPlan& p) {
    const int64_t reach_height = (p.window_height - 1) * p.dilation_height;
    const int64_t reach_width = (p.window_width - 1) * p.dilation_width;
    return p.groups == 1 && p.stride_height == 1 && p.stride_width == 1 &&
           std::max(p.pad_top, p.pad_bottom) <= reach_height &&
           std::max(p.pad_left, p.pad_right) <= reach_width;
  }

  /// `plan`: of the forward convolution.
  TransposedConvKernel(const KernelRequest& request, const WindowPlan& plan)
      : PackedConvKernel(request, plan) {
    ConvDescs d(transposed(plan));
    const int64_t c = plan.channels, f = plan.out_channels;
    d.plain_kernel =
        Desc({c, f, plan.window_height, plan.window_width}, dnnl::memory::data_type::f32,
             dnnl::memory::dims{f, 1, plan.window_width * c * f, c * f});
    const auto desc = conv_forward_desc(d, false, false, context_.engine);
    kernel_ = PackedKernel(context_, request.device, request.inputs[1], d.plain_kernel,
                           desc.weights_desc(), plan.window_height * plan.window_width);
    bind(dnnl::convolution_forward(desc), desc.scratchpad_desc(),
         {{{DNNL_ARG_SRC, d.image},
           {DNNL_ARG_WEIGHTS, desc.weights_desc()},
           {DNNL_ARG_DST, d.output}}});
  }

 private:
  static WindowPlan transposed(WindowPlan p) {
    std::swap(p.channels, p.out_channels);
    std::swap(p.height, p.out_height);
    std::swap(p.width, p.out_width);
    const int64_t reach_height = (p.window_height - 1) * p.dilation_height;
    const int64_t reach_width = (p.window_width - 1) * p.dilation_width;
    p.pad_top = reach_height - p.pad_top;
    p.pad_bottom = reach_height - p.pad_bottom;
    p.pad_left = reach_width - p.pad_left;
    p.pad_right = reach_width - p.pad_right;
    return p;
  }
};

/// The primitive of one of the gradients.
template <class Backward>
typename Backward::primitive_desc backward_desc(const ConvDescs& d, const dnnl::engine& engine) {
  const typename Backward::desc backward(dnnl::algorithm::convolution_direct, d.image, d.any_kernel,
                                         d.output, d.strides, d.dilation, d.pad_before,
                                         d.pad_after);
  return {backward, conv_attributes(), engine, conv_forward_desc(d, false, false, engine)};
}

class ConvBackwardInputKernel final : public PackedConvKernel {
 public:
  ConvBackwardInputKernel(const KernelRequest& request, const WindowPlan& plan)
      : PackedConvKernel(request, plan) {
    const ConvDescs d(plan);
    const auto desc = backward_desc<dnnl::convolution_backward_data>(d, context_.engine);
    kernel_ = PackedKernel(context_, request.device, request.inputs[1], d.plain_kernel,
                           desc.weights_desc());
    bind(dnnl::convolution_backward_data(desc), desc.scratchpad_desc(),
         {{{DNNL_ARG_DIFF_DST, d.output},
           {DNNL_ARG_WEIGHTS, desc.weights_desc()},
           {DNNL_ARG_DIFF_SRC, d.image}}});
  }
};

// oneDNN writes the gradient in its own layout; a reorder brings it to [KH, KW, C / groups, F].
class ConvBackwardKernelKernel final : public ConvCallKernel {
 public:
  ConvBackwardKernelKernel(const KernelRequest& request, const WindowPlan& plan)
      : ConvCallKernel(request, plan) {
    const ConvDescs d(plan);
    const auto desc = backward_desc<dnnl::convolution_backward_weights>(d, context_.engine);
    const Desc packed = desc.diff_weights_desc();
    packed_ = request.device.allocate(packed.get_size());
    bind(dnnl::convolution_backward_weights(desc), desc.scratchpad_desc(),
         {{{DNNL_ARG_SRC, d.image},
           {DNNL_ARG_DIFF_DST, d.output},
           {DNNL_ARG_DIFF_WEIGHTS, packed}}});
    const dnnl::reorder::primitive_desc unpack(context_.engine, packed, context_.engine,
                                               d.plain_kernel);
    unpack_ = Call(context_, dnnl::reorder(unpack),
                   {{DNNL_ARG_FROM, packed}, {DNNL_ARG_TO, d.plain_kernel}});
    unpack_.set(0, packed_.get());
  }

  void compute() override {
    execute(in(0).data<float>(), in(1).data<float>(), packed_.get());
    unpack_.set(1, out(0).data<float>());
    unpack_.execute(context_);
  }

 private:
  std::shared_ptr<void> packed_;
  Call unpack_;
};

std::unique_ptr<Kernel> make_backward_input(const KernelRequest& request) {
  if (!takes(request)) return nullptr;
  const WindowPlan plan = conv_plan(request.node.attrs(), request.outputs[0].shape,
                                    request.inputs[1].shape, request.inputs[0].shape);
  return make_or_refuse(request, team_for(request, plan), [&]() -> std::unique_ptr<Kernel> {
    if (TransposedConvKernel::takes(plan))
      return std::make_unique<TransposedConvKernel>(request, plan);
    return std::make_unique<ConvBackwardInputKernel>(request, plan);
  });
}

std::unique_ptr<Kernel> make_backward_kernel(const KernelRequest& request) {
  if (!takes(request)) return nullptr;
  const WindowPlan plan = conv_plan(request.node.attrs(), request.inputs[0].shape,
                                    request.outputs[0].shape, request.inputs[1].shape);
  return make_or_refuse(request, team_for(request, plan),
                        [&] { return std::make_unique<ConvBackwardKernelKernel>(request, plan); });
}

}  // namespace

void register_conv_gradients(KernelRegistry& registry) {
  registry.add("Conv2DBackwardInput", DeviceType::kCPU, kOneDnn, make_backward_input);
  registry.add("Conv2DBackwardKernel", DeviceType::kCPU, kOneDnn, make_backward_kernel);
}

}  // namespace cohort::cpu::onednn
