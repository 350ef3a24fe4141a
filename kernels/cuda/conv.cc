#include <algorithm>

#include "cohort/kernels/cuda/conv_case.h"
#include "cohort/kernels/cuda/conv_direct.h"
#include "cohort/kernels/cuda/copy.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

// cuDNN pads opposite sides alike. What one side has more is put into a larger image instead.
struct ExtraPadding {
  int top, left;
  Window window;  // of the larger image
  bool any;
};

ExtraPadding extra_padding(const Window& w) {
  const int rows = std::min(w.pad_top, w.pad_bottom);
  const int columns = std::min(w.pad_left, w.pad_right);
  ExtraPadding extra = {w.pad_top - rows, w.pad_left - columns, w, false};
  extra.window.height = w.height + w.pad_top + w.pad_bottom - 2 * rows;
  extra.window.width = w.width + w.pad_left + w.pad_right - 2 * columns;
  extra.window.pad_top = extra.window.pad_bottom = rows;
  extra.window.pad_left = extra.window.pad_right = columns;
  extra.any = extra.window.height != w.height || extra.window.width != w.width;
  return extra;
}

// The image inside the larger one: array 0 is the larger, array 1 the image.
Walk inner_walk(const Window& image, const Window& larger) {
  const std::vector<int64_t> sizes = {image.batch, image.height, image.width, image.channels};
  const std::vector<int64_t> larger_sizes = {larger.batch, larger.height, larger.width,
                                             larger.channels};
  const std::vector<int64_t> own = row_major_strides(sizes);
  const std::vector<int64_t> outer = row_major_strides(larger_sizes);
  const std::span<const int64_t> strides[] = {outer, own};
  return make_walk(sizes, strides);
}

Walk swapped(Walk walk) {
  std::swap(walk.strides[0], walk.strides[1]);
  return walk;
}

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

// The workspace holds the kernel (or its gradient) in cuDNN's order, the larger image where one is
// needed, and what cuDNN wants, in this order.
class CudnnConvKernel final : public Kernel {
 public:
  CudnnConvKernel(const KernelRequest& request, ConvCase c, ExtraPadding extra, ConvPlan plan)
      : case_(std::move(c)),
        extra_(extra),
        plan_(std::move(plan)),
        inner_(inner_walk(case_.window, extra.window)),
        element_bytes_(static_cast<int>(size_of(case_.image.dtype))),
        workspace_(request.workspace),
        stream_(stream_of(request)) {
    const Window& w = case_.window;
    window_elements_ =
        static_cast<int64_t>(w.window_height) * w.window_width * (w.channels / w.groups);
    kernel_bytes_ = aligned(static_cast<size_t>(window_elements_ * w.out_channels) *
                            static_cast<size_t>(element_bytes_));
    if (extra_.any)
      image_bytes_ = aligned(static_cast<size_t>(extra_.window.image_elements()) *
                             static_cast<size_t>(element_bytes_));
  }

  size_t workspace_bytes() const override {
    return kernel_bytes_ + image_bytes_ + plan_.workspace_bytes();
  }

  void run() override {
    auto* kernel = static_cast<std::byte*>(*workspace_);
    std::byte* larger = kernel + kernel_bytes_;
    std::byte* rest = larger + image_bytes_;
    switch (case_.pass) {
      case ConvPass::kForward:
        reorder(*case_.second.slot, kernel);
        plan_.run(padded(larger), kernel, *case_.result.slot, rest);
        return;
      case ConvPass::kBackwardInput:
        reorder(*case_.second.slot, kernel);
        plan_.run(*case_.first.slot, kernel, extra_.any ? larger : *case_.result.slot, rest);
        if (extra_.any)
          copy_strided(element_bytes_, swapped(inner_), *case_.result.slot, inside(larger),
                       stream_);
        return;
      case ConvPass::kBackwardKernel:
        plan_.run(padded(larger), *case_.second.slot, kernel, rest);
        transpose_matrices(element_bytes_, 1, case_.window.out_channels, window_elements_, kernel,
                           *case_.result.slot, stream_);
        return;
    }
  }

 private:
  // [KH, KW, C, F] to [F, KH, KW, C].
  void reorder(const void* from, void* to) const {
    transpose_matrices(element_bytes_, 1, window_elements_, case_.window.out_channels, from, to,
                       stream_);
  }

  std::byte* inside(std::byte* larger) const {
    const Window& w = extra_.window;
    const int64_t offset = (static_cast<int64_t>(extra_.top) * w.width + extra_.left) * w.channels;
    return larger + offset * element_bytes_;
  }

  const void* padded(std::byte* larger) const {
    if (!extra_.any) return *case_.image.slot;
    zero_bytes(larger, image_bytes_, stream_);
    copy_strided(element_bytes_, inner_, inside(larger), *case_.image.slot, stream_);
    return larger;
  }

  ConvCase case_;
  ExtraPadding extra_;
  ConvPlan plan_;
  Walk inner_;
  int element_bytes_;
  void* const* workspace_;
  cudaStream_t stream_;
  int64_t window_elements_ = 0;
  size_t kernel_bytes_ = 0;
  size_t image_bytes_ = 0;
};

std::unique_ptr<Kernel> make_cudnn(const KernelRequest& request) {
  ConvCase c = conv_case(request);
  if (c.empty()) return nullptr;  // the direct kernels do it
  const ExtraPadding extra = extra_padding(c.window);
  auto plan = ConvPlan::make(device_of(request), c.image.dtype, extra.window, c.pass);
  if (!plan) return nullptr;
  return with_bias(
      request, std::make_unique<CudnnConvKernel>(request, std::move(c), extra, std::move(*plan)));
}

std::unique_ptr<Kernel> make_direct(const KernelRequest& request) {
  const ConvCase c = conv_case(request);
  return with_bias(request, make_kernel([c, stream = stream_of(request)] {
                     const auto run = c.pass == ConvPass::kForward         ? conv_direct
                                      : c.pass == ConvPass::kBackwardInput ? conv_direct_input
                                                                           : conv_direct_kernel;
                     run(c.image.dtype, c.window, *c.first.slot, *c.second.slot, *c.result.slot,
                         stream);
                   }));
}

}  // namespace

void register_conv(KernelRegistry& kernels) {
  for (const std::string_view op :
       {"Conv2D", "FusedConv2D", "Conv2DBackwardInput", "Conv2DBackwardKernel"}) {
    kernels.add(op, DeviceType::kGPU, "product", make_conv_product);
    kernels.add(op, DeviceType::kGPU, "cudnn", make_cudnn);
    kernels.add(op, DeviceType::kGPU, "direct", make_direct);
  }
}

}  // namespace cohort::cuda
