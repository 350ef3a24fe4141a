// Convolutions in f32. Activations stay [N, H, W, C]; oneDNN chooses the layout of the kernel, of which
// each op keeps a packed copy of its own, renewed when the variable has been written.
#include "kernels/cpu/cpu_kernel.h"
#include "kernels/cpu/onednn/call.h"
#include "kernels/cpu/onednn/register.h"
#include "kernels/cpu/window_plan.h"

namespace cohort::cpu::onednn {
namespace {

using dnnl::algorithm;
using dnnl::memory;
using dnnl::prop_kind;

constexpr auto kF32 = memory::data_type::f32;

// One convolution as oneDNN describes it.
struct ConvDescs {
  explicit ConvDescs(const WindowPlan& p)
      : image({p.batch, p.channels, p.height, p.width}, kF32, memory::format_tag::nhwc),
        output({p.batch, p.out_channels, p.out_height, p.out_width}, kF32,
               memory::format_tag::nhwc),
        bias({p.out_channels}, kF32, memory::format_tag::a),
        strides{p.stride_height, p.stride_width},
        dilation{p.dilation_height - 1, p.dilation_width - 1},
        pad_before{p.pad_top, p.pad_left},
        pad_after{p.pad_bottom, p.pad_right} {
    // [KH, KW, C / groups, F] in oneDNN's order of axes.
    const int64_t f = p.out_channels, depth = p.channels_per_group();
    memory::dims dims{p.outputs_per_group(), depth, p.window_height, p.window_width};
    memory::dims steps{1, f, p.window_width * depth * f, depth * f};
    if (p.groups > 1) {
      dims.insert(dims.begin(), p.groups);
      steps.insert(steps.begin(), p.outputs_per_group());
    }
    plain_kernel = Desc(dims, kF32, steps);
    any_kernel = Desc(dims, kF32, memory::format_tag::any);
  }

  Desc image, output, bias, plain_kernel, any_kernel;
  memory::dims strides, dilation, pad_before, pad_after;
};

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

dnnl::primitive_attr forward_attributes(bool relu) {
  dnnl::primitive_attr attr = attributes();
  if (relu) {
    dnnl::post_ops post;
    post.append_eltwise(1.f, algorithm::eltwise_relu, 0.f, 0.f);
    attr.set_post_ops(post);
  }
  return attr;
}

dnnl::convolution_forward::primitive_desc forward_desc(const ConvDescs& d, bool bias, bool relu,
                                                       const dnnl::engine& engine) {
  const auto kind = prop_kind::forward_training;
  const auto direct = algorithm::convolution_direct;
  const auto desc =
      bias ? dnnl::convolution_forward::desc(kind, direct, d.image, d.any_kernel, d.bias, d.output,
                                             d.strides, d.dilation, d.pad_before, d.pad_after)
           : dnnl::convolution_forward::desc(kind, direct, d.image, d.any_kernel, d.output,
                                             d.strides, d.dilation, d.pad_before, d.pad_after);
  return {desc, forward_attributes(relu), engine};
}

// The kernel operand in the layout that a primitive wants.
class PackedKernel {
 public:
  PackedKernel() = default;
  PackedKernel(const Context& context, Device& device, const Operand& source, const Desc& plain,
               const Desc& wanted)
      : source_(source), packed_(device.allocate(wanted.get_size())) {
    const dnnl::reorder::primitive_desc desc(context.engine, plain, context.engine, wanted);
    pack_ = Call(context, dnnl::reorder(desc), {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, wanted}});
    pack_.set(1, packed_.get());
  }

  /// Packs again when the variable has been written since (a value that is no variable: always).
  const void* data(const Context& context) {
    const void* from = source_.data<float>();
    if (!source_.version || *source_.version != version_ || from != from_) {
      pack_.set(0, from);
      pack_.execute(context);
      if (source_.version) version_ = *source_.version;
      from_ = from;
    }
    return packed_.get();
  }

 private:
  Operand source_;
  std::shared_ptr<void> packed_;
  Call pack_;
  uint64_t version_ = 0;
  const void* from_ = nullptr;
};

class ConvKernel final : public CpuKernel {
 public:
  ConvKernel(const KernelRequest& request, const WindowPlan& plan) : CpuKernel(request) {
    const ConvDescs d(plan);
    const bool bias = request.inputs.size() > 2;
    const bool relu = request.node.attrs().get_or<std::string>("activation", "") == "relu";
    const auto desc = forward_desc(d, bias, relu, context_.engine);
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

class ConvBackwardInputKernel final : public CpuKernel {
 public:
  ConvBackwardInputKernel(const KernelRequest& request, const WindowPlan& plan)
      : CpuKernel(request) {
    const ConvDescs d(plan);
    using Backward = dnnl::convolution_backward_data;
    const Backward::desc backward(algorithm::convolution_direct, d.image, d.any_kernel, d.output,
                                  d.strides, d.dilation, d.pad_before, d.pad_after);
    const Backward::primitive_desc desc(backward, attributes(), context_.engine,
                                        forward_desc(d, false, false, context_.engine));
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
    const Backward::desc backward(algorithm::convolution_direct, d.image, d.any_kernel, d.output,
                                  d.strides, d.dilation, d.pad_before, d.pad_after);
    const Backward::primitive_desc desc(backward, attributes(), context_.engine,
                                        forward_desc(d, false, false, context_.engine));
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

// Null where oneDNN has no such convolution, and for batches without rows.
template <class K>
std::unique_ptr<Kernel> make(const KernelRequest& request, const Shape& image, const Shape& kernel,
                             const Shape& output) {
  if (request.outputs[0].dtype != DType::kF32 || image.num_elements() == 0 ||
      output.num_elements() == 0)
    return nullptr;
  const TeamSize team(request.device.num_threads());
  try {
    return std::make_unique<K>(request, conv_plan(request.node.attrs(), image, kernel, output));
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_unimplemented) return nullptr;
    throw Internal("{}: oneDNN: {}", request.node.name(), error.what());
  }
}

std::unique_ptr<Kernel> make_conv(const KernelRequest& request) {
  return make<ConvKernel>(request, request.inputs[0].shape, request.inputs[1].shape,
                          request.outputs[0].shape);
}
std::unique_ptr<Kernel> make_backward_input(const KernelRequest& request) {
  return make<ConvBackwardInputKernel>(request, request.outputs[0].shape, request.inputs[1].shape,
                                       request.inputs[0].shape);
}
std::unique_ptr<Kernel> make_backward_kernel(const KernelRequest& request) {
  return make<ConvBackwardKernelKernel>(request, request.inputs[0].shape,
                                        request.outputs[0].shape, request.inputs[1].shape);
}

}  // namespace

void register_conv(KernelRegistry& registry) {
  registry.add("Conv2D", DeviceType::kCPU, kOneDnn, make_conv);
  registry.add("FusedConv2D", DeviceType::kCPU, kOneDnn, make_conv);
  registry.add("Conv2DBackwardInput", DeviceType::kCPU, kOneDnn, make_backward_input);
  registry.add("Conv2DBackwardKernel", DeviceType::kCPU, kOneDnn, make_backward_kernel);
}

}  // namespace cohort::cpu::onednn
