// Convolutions on plain [N, H, W, C]. The images are split over the team. The kernel's gradient is
// summed over blocks of images, and the blocks in a fixed tree: no bit depends on the number of
// threads.
#include <algorithm>

#include "cohort/kernels/cpu/vector/vector_kernel.h"
#include "cohort/kernels/cpu/window_plan.h"

namespace cohort::cpu::vector {
namespace {

template <class T>
class ConvBase : public CpuKernel {
 protected:
  ConvBase(const KernelRequest& request, const Shape& image, const Shape& kernel,
           const Shape& output)
      : CpuKernel(request) {
    const WindowPlan p = conv_plan(request.node.attrs(), image, kernel, output);
    batch_ = p.batch;
    shape_ = {.height = p.height,
              .width = p.width,
              .channels = p.channels,
              .filters = p.out_channels,
              .out_height = p.out_height,
              .out_width = p.out_width,
              .kernel_height = p.window_height,
              .kernel_width = p.window_width,
              .stride_height = p.stride_height,
              .stride_width = p.stride_width,
              .dilation_height = p.dilation_height,
              .dilation_width = p.dilation_width,
              .pad_top = p.pad_top,
              .pad_left = p.pad_left,
              .groups = p.groups};
    image_elements_ = p.height * p.width * p.channels;
    output_elements_ = p.out_height * p.out_width * p.out_channels;
    kernel_elements_ = kernel.num_elements();
    flops_each_ = 2 * p.out_height * p.out_width * kernel_elements_;
    scratch_bytes_ = (simd().of<T>().conv_scratch_bytes(shape_) + 63) / 64 * 64;
  }

  size_t team_scratch_bytes() const { return scratch_bytes_ * static_cast<size_t>(threads()); }
  std::byte* own_scratch() const {
    const int thread = omp_in_parallel() ? omp_get_thread_num() : 0;
    return workspace() + scratch_bytes_ * static_cast<size_t>(thread);
  }
  ConvShape part(int64_t images) const {
    ConvShape shape = shape_;
    shape.batch = images;
    return shape;
  }

  /// fn(first image, images, scratch)
  template <class Fn>
  void split_images(Fn&& fn) {
    parallel_for(threads(), batch_, grain_for(flops_each_, 0),
                 [&, this](int64_t begin, int64_t end) { fn(begin, end - begin, own_scratch()); });
  }

  ConvShape shape_;
  int64_t batch_;
  int64_t image_elements_;
  int64_t output_elements_;
  int64_t kernel_elements_;
  int64_t flops_each_;

 private:
  size_t scratch_bytes_;
};

template <class T>
class ConvKernel final : public ConvBase<T> {
 public:
  explicit ConvKernel(const KernelRequest& request)
      : ConvBase<T>(request, request.inputs[0].shape, request.inputs[1].shape,
                    request.outputs[0].shape),
        relu_(request.node.attrs().get_or<std::string>("activation", "") == "relu") {}
  size_t workspace_bytes() const override { return this->team_scratch_bytes(); }

  void run() override {
    const T* kernel = this->in(1).template data<T>();
    const T* bias = this->num_inputs() > 2 ? this->in(2).template data<T>() : nullptr;
    this->split_images([=, this](int64_t first, int64_t images, std::byte* scratch) {
      simd().of<T>().conv(
          this->part(images), this->in(0).template data<T>() + first * this->image_elements_,
          kernel, bias, relu_, this->out(0).template data<T>() + first * this->output_elements_,
          scratch);
    });
  }

 private:
  bool relu_;
};

template <class T>
class ConvBackwardInputKernel final : public ConvBase<T> {
 public:
  explicit ConvBackwardInputKernel(const KernelRequest& request)
      : ConvBase<T>(request, request.outputs[0].shape, request.inputs[1].shape,
                    request.inputs[0].shape) {}
  size_t workspace_bytes() const override { return this->team_scratch_bytes(); }

  void run() override {
    const T* kernel = this->in(1).template data<T>();
    this->split_images([=, this](int64_t first, int64_t images, std::byte* scratch) {
      simd().of<T>().conv_grad_input(
          this->part(images), this->in(0).template data<T>() + first * this->output_elements_,
          kernel, this->out(0).template data<T>() + first * this->image_elements_, scratch);
    });
  }
};

template <class T>
class ConvBackwardKernelKernel final : public ConvBase<T> {
 public:
  explicit ConvBackwardKernelKernel(const KernelRequest& request)
      : ConvBase<T>(request, request.inputs[0].shape, request.outputs[0].shape,
                    request.inputs[1].shape) {
    // Blocks enough for a large team, as far as their sums stay small; at least 8.
    const int64_t bytes = std::max<int64_t>(1, this->kernel_elements_ * int64_t{sizeof(T)});
    blocks_ = std::min(this->batch_, std::clamp<int64_t>((1 << 20) / bytes, 8, kMaxBlocks));
    block_elements_ = (this->kernel_elements_ + 15) / 16 * 16;
  }
  size_t workspace_bytes() const override {
    return this->team_scratch_bytes() +
           static_cast<size_t>(std::max<int64_t>(1, blocks_) * block_elements_) * sizeof(T);
  }

  void run() override {
    T* dkernel = this->out(0).template data<T>();
    if (blocks_ == 0) {
      std::fill_n(dkernel, this->kernel_elements_, T{0});
      return;
    }
    parallel_for(this->threads(), blocks_, grain_for(this->flops_each_ * this->batch_ / blocks_, 0),
                 [this](int64_t begin, int64_t end) {
                   for (int64_t block = begin; block < end; ++block) add_images(block);
                 });
    parallel_for(this->threads(), this->kernel_elements_,
                 grain_for(blocks_, blocks_ * int64_t{sizeof(T)}),
                 [=, this](int64_t begin, int64_t end) { add_blocks(dkernel, begin, end); });
  }

 private:
  static constexpr int64_t kMaxBlocks = 64;

  T* block_sum(int64_t block) const {
    return reinterpret_cast<T*>(this->workspace() + this->team_scratch_bytes()) +
           block * block_elements_;
  }

  void add_images(int64_t block) const {
    const int64_t first = this->batch_ * block / blocks_;
    const int64_t end = this->batch_ * (block + 1) / blocks_;
    simd().of<T>().conv_grad_kernel(this->part(end - first),
                                    this->in(0).template data<T>() + first * this->image_elements_,
                                    this->in(1).template data<T>() + first * this->output_elements_,
                                    block_sum(block), false, this->own_scratch());
  }

  void add_blocks(T* dkernel, int64_t begin, int64_t end) const {
    const T* sources[kMaxBlocks];
    for (int64_t block = 0; block < blocks_; ++block) sources[block] = block_sum(block) + begin;
    T* const destination = dkernel + begin;
    simd().of<T>().sum_sources({.sources = sources,
                                .num_sources = static_cast<int>(blocks_),
                                .destinations = &destination,
                                .num_destinations = 1,
                                .count = end - begin});
  }

  int64_t blocks_;
  int64_t block_elements_;
};

}  // namespace

void register_conv(KernelRegistry& registry) {
  registry.add("Conv2D", DeviceType::kCPU, kVector, make_by_output<ConvKernel>);
  registry.add("FusedConv2D", DeviceType::kCPU, kVector, make_by_output<ConvKernel>);
  registry.add("Conv2DBackwardInput", DeviceType::kCPU, kVector,
               make_by_output<ConvBackwardInputKernel>);
  registry.add("Conv2DBackwardKernel", DeviceType::kCPU, kVector,
               make_by_output<ConvBackwardKernelKernel>);
}

}  // namespace cohort::cpu::vector
