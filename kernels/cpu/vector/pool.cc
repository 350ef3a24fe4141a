#include "cohort/kernels/cpu/pool_kernel.h"

#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

class VectorPoolKernel : public PoolKernel {
 protected:
  VectorPoolKernel(const KernelRequest& request, PoolDirection direction)
      : PoolKernel(request, direction),
        shape_{.height = plan().height,
               .width = plan().width,
               .channels = plan().channels,
               .out_height = plan().out_height,
               .out_width = plan().out_width,
               .window_height = plan().window_height,
               .window_width = plan().window_width,
               .stride_height = plan().stride_height,
               .stride_width = plan().stride_width,
               .pad_top = plan().pad_top,
               .pad_left = plan().pad_left} {}

  /// fn(shape of the part, first element of its images, first element of its outputs)
  template <class Fn>
  void for_each_part(Fn&& fn) {
    split_images(image_elements() * 2, image_elements() * 4, [&, this](int64_t begin, int64_t end) {
      PoolShape part = shape_;
      part.batch = end - begin;
      fn(part, begin * image_elements(), begin * output_elements());
    });
  }

 private:
  PoolShape shape_;
};

template <class T>
class MaxPoolKernel final : public VectorPoolKernel {
 public:
  explicit MaxPoolKernel(const KernelRequest& request)
      : VectorPoolKernel(request, PoolDirection::kForward) {}
  void run() override {
    for_each_part([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().max_pool(shape, in(0).template data<T>() + image,
                              out(0).template data<T>() + output,
                              out(1).template data<uint8_t>() + output, false);
    });
  }
};

template <class T>
class MaxPoolGradKernel final : public VectorPoolKernel {
 public:
  explicit MaxPoolGradKernel(const KernelRequest& request)
      : VectorPoolKernel(request, PoolDirection::kBackward) {}
  void run() override {
    for_each_part([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().max_pool_grad(shape, in(0).template data<T>() + output,
                                   in(1).template data<uint8_t>() + output,
                                   out(0).template data<T>() + image);
    });
  }
};

template <class T>
class AvgPoolKernel final : public VectorPoolKernel {
 public:
  explicit AvgPoolKernel(const KernelRequest& request)
      : VectorPoolKernel(request, PoolDirection::kForward) {}
  void run() override {
    for_each_part([this](const PoolShape& shape, int64_t image, int64_t output) {
      simd().of<T>().average_pool(shape, in(0).template data<T>() + image,
                                  out(0).template data<T>() + output);
    });
  }
};

template <class T>
class AvgPoolGradKernel final : public VectorPoolKernel {
 public:
  explicit AvgPoolGradKernel(const KernelRequest& request)
      : VectorPoolKernel(request, PoolDirection::kBackward) {}
  void run() override {
    for_each_part([this](const PoolShape& shape, int64_t image, int64_t output) {
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
