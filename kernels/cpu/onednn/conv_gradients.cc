// The two gradients of a convolution.
#include <algorithm>
#include <utility>

#include "kernels/cpu/cpu_kernel.h"
#include "kernels/cpu/onednn/conv_descs.h"
#include "kernels/cpu/onednn/register.h"

namespace cohort::cpu::onednn {
namespace {

// With stride 1 the gradient of the input is a convolution itself, of dy with the kernel reversed
// in both directions and its channels swapped; oneDNN's forward convolution is the faster one for
// activations in [N, H, W, C].
//   dx[h, w, c] = sum over kh, kw, f of dy[h + pad - kh d, …, f] k[kh, kw, c, f]
class TransposedConvKernel final : public CpuKernel {
 public:
  static bool takes(const WindowPlan& p) {
    const int64_t reach_height = (p.window_height - 1) * p.dilation_height;
    const int64_t reach_width = (p.window_width - 1) * p.dilation_width;
    return p.groups == 1 && p.stride_height == 1 && p.stride_width == 1 &&
           std::max(p.pad_top, p.pad_bottom) <= reach_height &&
           std::max(p.pad_left, p.pad_right) <= reach_width;
  }

  /// `plan`: of the forward convolution.
  TransposedConvKernel(const KernelRequest& request, const WindowPlan& plan) : CpuKernel(request) {
    ConvDescs d(transposed(plan));
    const int64_t c = plan.channels, f = plan.out_channels;
    d.plain_kernel =
        Desc({c, f, plan.window_height, plan.window_width}, dnnl::memory::data_type::f32,
             dnnl::memory::dims{f, 1, plan.window_width * c * f, c * f});
    const auto desc = conv_forward_desc(d, false, false, context_.engine);
    scratchpad_ = desc.scratchpad_desc().get_size();
    kernel_ = PackedKernel(context_, request.device, request.inputs[1], d.plain_kernel,
                           desc.weights_desc(), plan.window_height * plan.window_width);
    conv_ = Call(context_, dnnl::convolution_forward(desc),
                 {{DNNL_ARG_SRC, d.image},
                  {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                  {DNNL_ARG_DST, d.output},
                  {DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc()}});
  }

  size_t workspace_bytes() const override { return scratchpad_; }

  void run() override {
    conv_.set(0, in(0).data<float>());
    conv_.set(1, kernel_.data(context_));
    conv_.set(2, out(0).data<float>());
    conv_.set(3, workspace());
    conv_.execute(context_);
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

  Context context_;
  PackedKernel kernel_;
  size_t scratchpad_ = 0;
  Call conv_;
};

class ConvBackwardInputKernel final : public CpuKernel {
 public:
  ConvBackwardInputKernel(const KernelRequest& request, const WindowPlan& plan)
      : CpuKernel(request) {
    const ConvDescs d(plan);
    using Backward = dnnl::convolution_backward_data;
    const Backward::desc backward(dnnl::algorithm::convolution_direct, d.image, d.any_kernel,
                                  d.output, d.strides, d.dilation, d.pad_before, d.pad_after);
    const Backward::primitive_desc desc(backward, conv_attributes(), context_.engine,
                                        conv_forward_desc(d, false, false, context_.engine));
    scratchpad_ = desc.scratchpad_desc().get_size();
    kernel_ = PackedKernel(context_, request.device, request.inputs[1], d.plain_kernel,
                           desc.weights_desc());
    conv_ = Call(context_, Backward(desc),
                 {{DNNL_ARG_DIFF_DST, d.output},
                  {DNNL_ARG_WEIGHTS, desc.weights_desc()},
                  {DNNL_ARG_DIFF_SRC, d.image},
                  {DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc()}});
  }

  size_t workspace_bytes() const override { return scratchpad_; }

  void run() override {
    conv_.set(0, in(0).data<float>());
    conv_.set(1, kernel_.data(context_));
    conv_.set(2, out(0).data<float>());
    conv_.set(3, workspace());
    conv_.execute(context_);
  }

 private:
  Context context_;
  PackedKernel kernel_;
  size_t scratchpad_ = 0;
  Call conv_;
};

// oneDNN writes the gradient in its own layout; a reorder brings it to [KH, KW, C / groups, F].
class ConvBackwardKernelKernel final : public CpuKernel {
 public:
  ConvBackwardKernelKernel(const KernelRequest& request, const WindowPlan& plan)
      : CpuKernel(request) {
    const ConvDescs d(plan);
    using Backward = dnnl::convolution_backward_weights;
    const Backward::desc backward(dnnl::algorithm::convolution_direct, d.image, d.any_kernel,
                                  d.output, d.strides, d.dilation, d.pad_before, d.pad_after);
    const Backward::primitive_desc desc(backward, conv_attributes(), context_.engine,
                                        conv_forward_desc(d, false, false, context_.engine));
    const Desc packed = desc.diff_weights_desc();
    scratchpad_ = desc.scratchpad_desc().get_size();
    packed_ = request.device.allocate(packed.get_size());
    conv_ = Call(context_, Backward(desc),
                 {{DNNL_ARG_SRC, d.image},
                  {DNNL_ARG_DIFF_DST, d.output},
                  {DNNL_ARG_DIFF_WEIGHTS, packed},
                  {DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc()}});
    conv_.set(2, packed_.get());
    const dnnl::reorder::primitive_desc unpack(context_.engine, packed, context_.engine,
                                               d.plain_kernel);
    unpack_ = Call(context_, dnnl::reorder(unpack),
                   {{DNNL_ARG_FROM, packed}, {DNNL_ARG_TO, d.plain_kernel}});
    unpack_.set(0, packed_.get());
  }

  size_t workspace_bytes() const override { return scratchpad_; }

  void run() override {
    conv_.set(0, in(0).data<float>());
    conv_.set(1, in(1).data<float>());
    conv_.set(3, workspace());
    conv_.execute(context_);
    unpack_.set(1, out(0).data<float>());
    unpack_.execute(context_);
  }

 private:
  Context context_;
  size_t scratchpad_ = 0;
  std::shared_ptr<void> packed_;
  Call conv_;
  Call unpack_;
};

std::unique_ptr<Kernel> make_backward_input(const KernelRequest& request) {
  if (!takes(request)) return nullptr;
  const WindowPlan plan = conv_plan(request.node.attrs(), request.outputs[0].shape,
                                    request.inputs[1].shape, request.inputs[0].shape);
  return make_or_refuse(request, [&]() -> std::unique_ptr<Kernel> {
    if (TransposedConvKernel::takes(plan))
      return std::make_unique<TransposedConvKernel>(request, plan);
    return std::make_unique<ConvBackwardInputKernel>(request, plan);
  });
}

std::unique_ptr<Kernel> make_backward_kernel(const KernelRequest& request) {
  if (!takes(request)) return nullptr;
  const WindowPlan plan = conv_plan(request.node.attrs(), request.inputs[0].shape,
                                    request.outputs[0].shape, request.inputs[1].shape);
  return make_or_refuse(request,
                        [&] { return std::make_unique<ConvBackwardKernelKernel>(request, plan); });
}

}  // namespace

void register_conv_gradients(KernelRegistry& registry) {
  registry.add("Conv2DBackwardInput", DeviceType::kCPU, kOneDnn, make_backward_input);
  registry.add("Conv2DBackwardKernel", DeviceType::kCPU, kOneDnn, make_backward_kernel);
}

}  // namespace cohort::cpu::onednn
