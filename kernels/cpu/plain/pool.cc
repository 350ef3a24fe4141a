#include "cohort/kernels/cpu/pool_kernel.h"

#include <algorithm>

#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

// The part of a window that lies inside the image.
struct Range {
  int64_t begin, end;
};
Range rows(const WindowPlan& p, int64_t oh) {
  const int64_t top = p.row(oh, 0);
  return {std::max<int64_t>(0, -top), std::min(p.window_height, p.height - top)};
}
Range columns(const WindowPlan& p, int64_t ow) {
  const int64_t left = p.column(ow, 0);
  return {std::max<int64_t>(0, -left), std::min(p.window_width, p.width - left)};
}

class PlainPoolKernel : public PoolKernel {
 protected:
  PlainPoolKernel(const KernelRequest& request, PoolDirection direction)
      : PoolKernel(request, direction), p_(plan()) {}

  // fn(image, place, oh, ow) for each output place.
  template <class Fn>
  void for_each_place(Fn&& fn) {
    split_images(output_elements() * p_.window_height * p_.window_width, output_elements() * 8,
                 [&, this](int64_t begin, int64_t end) {
                   for (int64_t n = begin; n < end; ++n)
                     for (int64_t oh = 0; oh < p_.out_height; ++oh)
                       for (int64_t ow = 0; ow < p_.out_width; ++ow)
                         fn(n, (n * p_.out_height + oh) * p_.out_width + ow, oh, ow);
                 });
  }
  int64_t image_offset(int64_t n, int64_t oh, int64_t ow, int64_t kh, int64_t kw) const {
    return ((n * p_.height + p_.row(oh, kh)) * p_.width + p_.column(ow, kw)) * p_.channels;
  }

  const WindowPlan& p_;
};

template <class T>
class MaxPoolKernel final : public PlainPoolKernel {
 public:
  explicit MaxPoolKernel(const KernelRequest& request)
      : PlainPoolKernel(request, PoolDirection::kForward) {}

  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    uint8_t* where = out(1).data<uint8_t>();
    for_each_place([=, this](int64_t n, int64_t place, int64_t oh, int64_t ow) {
      const Range kh_range = rows(p_, oh), kw_range = columns(p_, ow);
      T* best = y + place * p_.channels;
      uint8_t* at = where + place * p_.channels;
      bool first = true;
      for (int64_t kh = kh_range.begin; kh < kh_range.end; ++kh)
        for (int64_t kw = kw_range.begin; kw < kw_range.end; ++kw) {
          const T* from = x + image_offset(n, oh, ow, kh, kw);
          take(from, static_cast<uint8_t>(kh * p_.window_width + kw), first, best, at);
          first = false;
        }
    });
  }

 private:
  // The first of equal elements wins, and NaN over all numbers.
  void take(const T* from, uint8_t position, bool first, T* best, uint8_t* at) const {
    for (int64_t c = 0; c < p_.channels; ++c) {
      const auto value = static_cast<Compute<T>>(from[c]);
      const auto old = static_cast<Compute<T>>(best[c]);
      if (first || value > old || (value != value && old == old)) {
        best[c] = from[c];
        at[c] = position;
      }
    }
  }
};

template <class T>
class MaxPoolGradKernel final : public PlainPoolKernel {
 public:
  explicit MaxPoolGradKernel(const KernelRequest& request)
      : PlainPoolKernel(request, PoolDirection::kBackward) {}

  void run() override {
    const T* dy = in(0).template data<T>();
    const uint8_t* where = in(1).data<uint8_t>();
    T* dx = out(0).template data<T>();
    std::fill_n(dx, out(0).num_elements(), T{});
    for_each_place([=, this](int64_t n, int64_t place, int64_t oh, int64_t ow) {
      for (int64_t c = 0; c < p_.channels; ++c) {
        const int64_t position = where[place * p_.channels + c];
        T& to =
            dx[image_offset(n, oh, ow, position / p_.window_width, position % p_.window_width) + c];
        to = static_cast<T>(static_cast<Compute<T>>(to) +
                            static_cast<Compute<T>>(dy[place * p_.channels + c]));
      }
    });
  }
};

template <class T>
class AvgPoolKernel final : public PlainPoolKernel {
 public:
  explicit AvgPoolKernel(const KernelRequest& request)
      : PlainPoolKernel(request, PoolDirection::kForward) {}

  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    for_each_place([=, this](int64_t n, int64_t place, int64_t oh, int64_t ow) {
      const Range kh_range = rows(p_, oh), kw_range = columns(p_, ow);
      const auto cells = static_cast<Compute<T>>((kh_range.end - kh_range.begin) *
                                                 (kw_range.end - kw_range.begin));
      for (int64_t c = 0; c < p_.channels; ++c) {
        Compute<T> sum = 0;
        for (int64_t kh = kh_range.begin; kh < kh_range.end; ++kh)
          for (int64_t kw = kw_range.begin; kw < kw_range.end; ++kw)
            sum += static_cast<Compute<T>>(x[image_offset(n, oh, ow, kh, kw) + c]);
        y[place * p_.channels + c] = static_cast<T>(sum / cells);
      }
    });
  }
};

template <class T>
class AvgPoolGradKernel final : public PlainPoolKernel {
 public:
  explicit AvgPoolGradKernel(const KernelRequest& request)
      : PlainPoolKernel(request, PoolDirection::kBackward) {}

  void run() override {
    const T* dy = in(0).template data<T>();
    T* dx = out(0).template data<T>();
    std::fill_n(dx, out(0).num_elements(), T{});
    for_each_place([=, this](int64_t n, int64_t place, int64_t oh, int64_t ow) {
      const Range kh_range = rows(p_, oh), kw_range = columns(p_, ow);
      const auto cells = static_cast<Compute<T>>((kh_range.end - kh_range.begin) *
                                                 (kw_range.end - kw_range.begin));
      for (int64_t kh = kh_range.begin; kh < kh_range.end; ++kh)
        for (int64_t kw = kw_range.begin; kw < kw_range.end; ++kw) {
          T* to = dx + image_offset(n, oh, ow, kh, kw);
          for (int64_t c = 0; c < p_.channels; ++c)
            to[c] = static_cast<T>(static_cast<Compute<T>>(to[c]) +
                                   static_cast<Compute<T>>(dy[place * p_.channels + c]) / cells);
        }
    });
  }
};

template <template <class> class K>
std::unique_ptr<Kernel> make_pool(const KernelRequest& request) {
  return for_numbers(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_pool(KernelRegistry& registry) {
  registry.add("MaxPool2D", DeviceType::kCPU, kPlain, make_pool<MaxPoolKernel>);
  registry.add("MaxPool2DGrad", DeviceType::kCPU, kPlain, make_pool<MaxPoolGradKernel>);
  registry.add("AvgPool2D", DeviceType::kCPU, kPlain, make_pool<AvgPoolKernel>);
  registry.add("AvgPool2DGrad", DeviceType::kCPU, kPlain, make_pool<AvgPoolGradKernel>);
}

}  // namespace cohort::cpu::plain
