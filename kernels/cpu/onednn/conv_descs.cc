#include "cohort/kernels/cpu/onednn/conv_descs.h"

#include <algorithm>

#include "cohort/kernels/cpu/parallel.h"

namespace cohort::cpu::onednn {

using dnnl::algorithm;
using dnnl::memory;

namespace {
constexpr auto kF32 = memory::data_type::f32;
}

ConvDescs::ConvDescs(const WindowPlan& p)
    : image({p.batch, p.channels, p.height, p.width}, kF32, memory::format_tag::nhwc),
      output({p.batch, p.out_channels, p.out_height, p.out_width}, kF32, memory::format_tag::nhwc),
      bias({p.out_channels}, kF32, memory::format_tag::a),
      strides{p.stride_height, p.stride_width},
      dilation{p.dilation_height - 1, p.dilation_width - 1},
      pad_before{p.pad_top, p.pad_left},
      pad_after{p.pad_bottom, p.pad_right} {
  // [KH, KW, C / groups, F] in oneDNN's order of axes: (groups,) F / groups, C / groups, KH, KW.
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

dnnl::primitive_attr conv_attributes(bool relu) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (relu) {
    dnnl::post_ops post;
    post.append_eltwise(1.f, algorithm::eltwise_relu, 0.f, 0.f);
    attr.set_post_ops(post);
  }
  return attr;
}

dnnl::convolution_forward::primitive_desc conv_forward_desc(const ConvDescs& d, bool bias,
                                                            bool relu, const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::forward_training;
  const auto direct = algorithm::convolution_direct;
  const auto desc =
      bias ? dnnl::convolution_forward::desc(kind, direct, d.image, d.any_kernel, d.bias, d.output,
                                             d.strides, d.dilation, d.pad_before, d.pad_after)
           : dnnl::convolution_forward::desc(kind, direct, d.image, d.any_kernel, d.output,
                                             d.strides, d.dilation, d.pad_before, d.pad_after);
  return {desc, conv_attributes(relu), engine};
}

PackedKernel::PackedKernel(const Context& context, Device& device, const Operand& source,
                           const Desc& plain, const Desc& wanted, int64_t reversed_places)
    : source_(source),
      packed_(device.allocate(wanted.get_size())),
      reversed_places_(reversed_places) {
  if (reversed_places_ > 0) reversed_ = device.allocate(source.num_bytes());
  const dnnl::reorder::primitive_desc desc(context.engine, plain, context.engine, wanted);
  pack_ = Call(context, dnnl::reorder(desc), {{DNNL_ARG_FROM, plain}, {DNNL_ARG_TO, wanted}});
  pack_.set(1, packed_.get());
}

const void* PackedKernel::data(const Context& context) {
  const float* from = source_.data<float>();
  if (!source_.version || *source_.version != version_ || from != from_) {
    pack_.set(0, reversed_places_ > 0 ? reverse(from) : from);
    pack_.execute(context);
    if (source_.version) version_ = *source_.version;
    from_ = from;
  }
  return packed_.get();
}

const void* PackedKernel::reverse(const float* from) {
  const int64_t block = source_.num_elements() / reversed_places_;
  float* to = static_cast<float*>(reversed_.get());
  for (int64_t place = 0; place < reversed_places_; ++place)
    std::copy_n(from + place * block, block, to + (reversed_places_ - 1 - place) * block);
  return to;
}

int team_for(const KernelRequest& request, const WindowPlan& p) {
  const int64_t places = p.batch * p.out_height * p.out_width * p.out_channels;
  const int64_t flops_each = 2 * p.window_height * p.window_width * p.channels_per_group();
  return places < grain_for(flops_each, 0) ? 1 : request.device.num_threads();
}

bool takes(const KernelRequest& request) {
  return request.outputs[0].dtype == DType::kF32 && request.outputs[0].num_elements() > 0 &&
         request.inputs[0].num_elements() > 0 && request.inputs[1].num_elements() > 0;
}

}  // namespace cohort::cpu::onednn
