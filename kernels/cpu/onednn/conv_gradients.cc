// The two gradients of a convolution.
#include <algorithm>
#include <utility>

#include "cohort/kernels/cpu/onednn/conv_kernel.h"
#include "cohort/kernels/cpu/onednn/register.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/simd_dispatch.h"

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

// The kernel's gradient is a sum over the batch, which oneDNN would divide by its threads. Here
// blocks of images have primitives of one thread, and the blocks are added in a fixed tree: no bit
// depends on the number of threads. oneDNN writes in its own layout; a reorder brings the sum to
// [KH, KW, C / groups, F].
class ConvBackwardKernelKernel final : public CpuKernel {
 public:
  ConvBackwardKernelKernel(const KernelRequest& request, const WindowPlan& plan)
      : CpuKernel(request), batch_(plan.batch), team_(team_for(request, plan)) {
    const int64_t kernel_bytes = request.outputs[0].num_elements() * int64_t{sizeof(float)};
    const int64_t flops_each =
        2 * plan.out_height * plan.out_width * request.outputs[0].num_elements();  // of an image
    blocks_ =
        std::min({batch_, std::clamp<int64_t>(flops_each * batch_ / kBlockFlops, 1, kMaxBlocks),
                  std::max<int64_t>(8, kMaxSumBytes / kernel_bytes)});
    image_elements_ = plan.height * plan.width * plan.channels;
    output_elements_ = plan.out_height * plan.out_width * plan.out_channels;
    const Desc packed = make_calls(plan);
    packed_elements_ = static_cast<int64_t>(packed.get_size() / sizeof(float));
    block_elements_ = (packed_elements_ + 15) / 16 * 16;
    packed_ = request.device.allocate(packed.get_size());
    const ConvDescs d(plan);
    const dnnl::reorder::primitive_desc unpack(context_.engine, packed, context_.engine,
                                               d.plain_kernel);
    unpack_ = Call(context_, dnnl::reorder(unpack),
                   {{DNNL_ARG_FROM, packed}, {DNNL_ARG_TO, d.plain_kernel}});
    unpack_.set(0, packed_.get());
  }

  size_t workspace_bytes() const override {
    return scratch_bytes_ * static_cast<size_t>(team_) +
           static_cast<size_t>(blocks_ * block_elements_) * sizeof(float);
  }

  void run() override {
    {
      const TeamSize one(1);
      parallel_for(team_, blocks_, 2, [this](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) add_images(block);
      });
    }
    parallel_for(team_, packed_elements_, grain_for(blocks_, blocks_ * int64_t{sizeof(float)}),
                 [this](int64_t begin, int64_t end) { add_blocks(begin, end); });
    const TeamSize team(team_);
    unpack_.set(1, out(0).data<float>());
    unpack_.execute(context_);
  }

 private:
  static constexpr int64_t kMaxBlocks = 64;
  static constexpr int64_t kBlockFlops = 4 << 20;  // some ten times what starting a primitive costs
  static constexpr int64_t kMaxSumBytes = 1 << 20;  // of all blocks, where 8 of them are not more

  /// For every thread, the primitives of a block of batch / blocks images and of one more. Returns
  /// the layout that they write.
  Desc make_calls(const WindowPlan& plan) {
    const TeamSize one(1);
    Desc packed;
    for (const int64_t images : {batch_ / blocks_, batch_ / blocks_ + 1}) {
      WindowPlan block = plan;
      block.batch = images;
      ConvDescs d(block);
      if (!calls_.empty()) d.any_kernel = packed;
      const auto desc = backward_desc<dnnl::convolution_backward_weights>(d, context_.engine);
      packed = desc.diff_weights_desc();
      scratch_bytes_ = std::max(scratch_bytes_, (desc.scratchpad_desc().get_size() + 63) / 64 * 64);
      const dnnl::convolution_backward_weights primitive(desc);
      for (int thread = 0; thread < team_; ++thread)
        calls_.emplace_back(
            context_, primitive,
            std::vector<std::pair<int, Desc>>{{DNNL_ARG_SRC, d.image},
                                              {DNNL_ARG_DIFF_DST, d.output},
                                              {DNNL_ARG_DIFF_WEIGHTS, packed},
                                              {DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc()}});
      if (batch_ % blocks_ == 0) break;
    }
    return packed;
  }

  float* block_sum(int64_t block) const {
    return reinterpret_cast<float*>(workspace() + scratch_bytes_ * static_cast<size_t>(team_)) +
           block * block_elements_;
  }

  void add_images(int64_t block) {
    const int64_t first = batch_ * block / blocks_;
    const bool one_more = batch_ * (block + 1) / blocks_ - first > batch_ / blocks_;
    const int thread = omp_in_parallel() ? omp_get_thread_num() : 0;
    Call& call = calls_[static_cast<size_t>(thread + (one_more ? team_ : 0))];
    call.set(0, in(0).data<float>() + first * image_elements_);
    call.set(1, in(1).data<float>() + first * output_elements_);
    call.set(2, block_sum(block));
    call.set(3, workspace() + scratch_bytes_ * static_cast<size_t>(thread));
    call.execute(context_);
  }

  void add_blocks(int64_t begin, int64_t end) const {
    const float* sources[kMaxBlocks];
    for (int64_t block = 0; block < blocks_; ++block) sources[block] = block_sum(block) + begin;
    float* const destination = static_cast<float*>(packed_.get()) + begin;
    simd().of<float>().sum_sources({.sources = sources,
                                    .num_sources = static_cast<int>(blocks_),
                                    .destinations = &destination,
                                    .num_destinations = 1,
                                    .count = end - begin});
  }

  const int64_t batch_;
  const int team_;
  int64_t blocks_ = 1;
  int64_t image_elements_ = 0;
  int64_t output_elements_ = 0;
  int64_t packed_elements_ = 0;  ///< of the gradient in oneDNN's layout
  int64_t block_elements_ = 0;   ///< the same in whole cache lines
  size_t scratch_bytes_ = 0;     ///< of each thread
  Context context_;
  std::vector<Call> calls_;  ///< of each thread, for the smaller blocks, then for the larger ones
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
