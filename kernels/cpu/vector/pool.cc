#include "kernels/cpu/vector/vector_kernel.h"
#include "kernels/cpu/window_plan.h"

namespace cohort::cpu::vector {
namespace {

// The images are split over the team.
class PoolKernel : public CpuKernel {
 protected:
  PoolKernel(const KernelRequest& request, const Shape& image, const Shape& output)
      : CpuKernel(request), plan_(pool_plan(request.node.attrs(), image, output)) {
    shape_ = {.height = plan_.height,
              .width = plan_.width,
              .channels = plan_.channels,
              .out_height = plan_.out_height,
              .out_width = plan_.out_width,
              .window_height = plan_.window_height,
              .window_width = plan_.window_width,
              .stride_height = plan_.stride_height,
              .stride_width = plan_.stride_width,
              .pad_top = plan_.pad_top,
              .pad_left = plan_.pad_left};
    image_elements_ = plan_.height * plan_.width * plan_.channels;
    output_elements_ = plan_.out_height * plan_.out_width * plan_.channels;
  }

  /// fn(shape of the part, first element of its images, first element of its outputs)
  template <class Fn>
  void split_images(Fn&& fn) {
    parallel_for(threads(), plan_.batch, grain_for(image_elements_ * 2, image_elements_ * 4),
                 [&, this](int64_t begin, int64_t end) {
                   PoolShape part = shape_;
                   part.batch = end - begin;
                   fn(part, begin * image_elements_, begin * output_elements_);
                 });
  }

 private:
  WindowPlan plan_;
  PoolShape shape_;
  int64_t image_elements_;
  int64_t output_elements_;
};

template <class T>
class MaxPoolKernel final : public PoolKernel {
 public:
  explicit MaxPoolKernel(const KernelRequest& request)
      : PoolKernel(request, request.inputs[0].shape, request.outputs[0].shape) {}
  void run() override {
    split_images([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().max_pool(shape, in(0).template data<T>() + image,
                              out(0).template data<T>() + output,
                              out(1).template data<uint8_t>() + output, false);
    });
  }
};

template <class T>
class MaxPoolGradKernel final : public PoolKernel {
 public:
  explicit MaxPoolGradKernel(const KernelRequest& request)
      : PoolKernel(request, request.outputs[0].shape, request.inputs[0].shape) {}
  void run() override {
    split_images([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().max_pool_grad(shape, in(0).template data<T>() + output,
                                   in(1).template data<uint8_t>() + output,
                                   out(0).template data<T>() + image);
    });
  }
};

template <class T>
class AvgPoolKernel final : public PoolKernel {
 public:
  explicit AvgPoolKernel(const KernelRequest& request)
      : PoolKernel(request, request.inputs[0].shape, request.outputs[0].shape) {}
  void run() override {
    split_images([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().average_pool(shape, in(0).template data<T>() + image,
                                  out(0).template data<T>() + output);
    });
  }
};

template <class T>
class AvgPoolGradKernel final : public PoolKernel {
 public:
  explicit AvgPoolGradKernel(const KernelRequest& request)
      : PoolKernel(request, request.outputs[0].shape, request.inputs[0].shape) {}
  void run() override {
    split_images([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().average_pool_grad(shape, in(0).template data<T>() + output,
                                       out(0).template data<T>() + image);
    });
  }
};

}  // namespace

void register_pool(KernelRegistry& registry) {
  registry.add("MaxPool2D", DeviceType::kCPU, kVector, make_by_output<MaxPoolKernel>);
  registry.add("MaxPool2DGrad", DeviceType::kCPU, kVector, make_by_output<MaxPoolGradKernel>);
  registry.add("AvgPool2D", DeviceType::kCPU, kVector, make_by_output<AvgPoolKernel>);
  registry.add("AvgPool2DGrad", DeviceType::kCPU, kVector, make_by_output<AvgPoolGradKernel>);
}

}  // namespace cohort::cpu::vector
