#include <algorithm>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"
#include "cohort/kernels/cpu/window_plan.h"

namespace cohort::cpu::plain {
namespace {

constexpr int64_t kTogether = 64;  // channels whose sums are kept at once

int64_t flops(const WindowPlan& p) {
  return 2 * p.window_height * p.window_width * p.channels_per_group();
}

bool inside(int64_t i, int64_t size) { return i >= 0 && i < size; }

// y[n, oh, ow, f] = sum over kh, kw, c of x[n, row, column, c] * k[kh, kw, c, f], then bias and
// relu.
template <class T>
class ConvKernel final : public CpuKernel {
 public:
  explicit ConvKernel(const KernelRequest& request)
      : CpuKernel(request),
        p_(conv_plan(request.node.attrs(), request.inputs[0].shape, request.inputs[1].shape,
                     request.outputs[0].shape)),
        relu_(request.inputs.size() > 2 &&
              request.node.attrs().get_or<std::string>("activation", "") == "relu") {}

  void run() override {
    parallel_for(threads(), p_.batch * p_.out_height,
                 grain_for(flops(p_) * p_.out_width * p_.out_channels, 0),
                 [this](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row)
                     for (int64_t ow = 0; ow < p_.out_width; ++ow) compute_place(row, ow);
                 });
  }

 private:
  void compute_place(int64_t row, int64_t ow) const {
    const int64_t per_group = p_.outputs_per_group();
    T* y = out(0).template data<T>() + (row * p_.out_width + ow) * p_.out_channels;
    for (int64_t group = 0; group < p_.groups; ++group)
      for (int64_t f = 0; f < per_group; f += kTogether) {
        const int64_t first = group * per_group + f;
        compute(row / p_.out_height, row % p_.out_height, ow, group, first,
                std::min(kTogether, per_group - f), y + first);
      }
  }

  void compute(int64_t n, int64_t oh, int64_t ow, int64_t group, int64_t first, int64_t count,
               T* y) const {
    const int64_t depth = p_.channels_per_group();
    double sums[kTogether] = {};
    for (int64_t kh = 0; kh < p_.window_height; ++kh)
      for (int64_t kw = 0; kw < p_.window_width; ++kw) {
        const int64_t h = p_.row(oh, kh), w = p_.column(ow, kw);
        if (!inside(h, p_.height) || !inside(w, p_.width)) continue;
        const T* x = in(0).template data<T>() + ((n * p_.height + h) * p_.width + w) * p_.channels +
                     group * depth;
        const T* k = in(1).template data<T>() +
                     (kh * p_.window_width + kw) * depth * p_.out_channels + first;
        for (int64_t c = 0; c < depth; ++c)
          for (int64_t f = 0; f < count; ++f)
            sums[f] += static_cast<double>(x[c]) * static_cast<double>(k[c * p_.out_channels + f]);
      }
    for (int64_t f = 0; f < count; ++f) {
      double value = sums[f];
      if (num_inputs() > 2) value += static_cast<double>(in(2).template data<T>()[first + f]);
      if (relu_ && value < 0) value = 0;
      y[f] = static_cast<T>(static_cast<Compute<T>>(value));
    }
  }

  WindowPlan p_;
  bool relu_;
};

// dx[n, h, w, c] = sum over kh, kw, f of dy[n, oh, ow, f] * k[kh, kw, c, f] where the window at
// (oh, ow) looks at (h, w).
template <class T>
class ConvBackwardInputKernel final : public CpuKernel {
 public:
  explicit ConvBackwardInputKernel(const KernelRequest& request)
      : CpuKernel(request),
        p_(conv_plan(request.node.attrs(), request.outputs[0].shape, request.inputs[1].shape,
                     request.inputs[0].shape)) {}

  void run() override {
    parallel_for(
        threads(), p_.batch * p_.height,
        grain_for(2 * p_.window_height * p_.window_width * p_.outputs_per_group() * p_.width *
                      p_.channels,
                  0),
        [this](int64_t begin, int64_t end) {
          for (int64_t row = begin; row < end; ++row)
            for (int64_t w = 0; w < p_.width; ++w)
              for (int64_t c = 0; c < p_.channels; ++c)
                out(0).template data<T>()[(row * p_.width + w) * p_.channels + c] = static_cast<T>(
                    static_cast<Compute<T>>(compute(row / p_.height, row % p_.height, w, c)));
        });
  }

 private:
  double compute(int64_t n, int64_t h, int64_t w, int64_t c) const {
    const int64_t depth = p_.channels_per_group(), per_group = p_.outputs_per_group();
    const int64_t first = c / depth * per_group;
    double sum = 0;
    for (int64_t kh = 0; kh < p_.window_height; ++kh)
      for (int64_t kw = 0; kw < p_.window_width; ++kw) {
        const int64_t top = h + p_.pad_top - kh * p_.dilation_height;
        const int64_t left = w + p_.pad_left - kw * p_.dilation_width;
        if (top < 0 || left < 0 || top % p_.stride_height || left % p_.stride_width) continue;
        const int64_t oh = top / p_.stride_height, ow = left / p_.stride_width;
        if (oh >= p_.out_height || ow >= p_.out_width) continue;
        const T* dy = in(0).template data<T>() +
                      ((n * p_.out_height + oh) * p_.out_width + ow) * p_.out_channels + first;
        const T* k = in(1).template data<T>() +
                     ((kh * p_.window_width + kw) * depth + c % depth) * p_.out_channels + first;
        for (int64_t f = 0; f < per_group; ++f)
          sum += static_cast<double>(dy[f]) * static_cast<double>(k[f]);
      }
    return sum;
  }

  WindowPlan p_;
};

// dk[kh, kw, c, f] = sum over n, oh, ow of x[n, row, column, c] * dy[n, oh, ow, f].
template <class T>
class ConvBackwardKernelKernel final : public CpuKernel {
 public:
  explicit ConvBackwardKernelKernel(const KernelRequest& request)
      : CpuKernel(request),
        p_(conv_plan(request.node.attrs(), request.inputs[0].shape, request.outputs[0].shape,
                     request.inputs[1].shape)) {}

  void run() override {
    const int64_t rows = p_.window_height * p_.window_width * p_.channels_per_group();
    parallel_for(threads(), rows,
                 grain_for(2 * p_.batch * p_.out_height * p_.out_width * p_.out_channels, 0),
                 [this](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row)
                     for (int64_t f = 0; f < p_.out_channels; f += kTogether)
                       compute(row, f, std::min(kTogether, p_.out_channels - f));
                 });
  }

 private:
  // Columns first … first + count - 1 of row (kh, kw, c) of dk.
  void compute(int64_t row, int64_t first, int64_t count) const {
    const int64_t depth = p_.channels_per_group(), per_group = p_.outputs_per_group();
    const int64_t c = row % depth, kw = row / depth % p_.window_width;
    const int64_t kh = row / depth / p_.window_width;
    double sums[kTogether] = {};
    for (int64_t n = 0; n < p_.batch; ++n)
      for (int64_t oh = 0; oh < p_.out_height; ++oh)
        for (int64_t ow = 0; ow < p_.out_width; ++ow) {
          const int64_t h = p_.row(oh, kh), w = p_.column(ow, kw);
          if (!inside(h, p_.height) || !inside(w, p_.width)) continue;
          const T* x =
              in(0).template data<T>() + ((n * p_.height + h) * p_.width + w) * p_.channels + c;
          const T* dy = in(1).template data<T>() +
                        ((n * p_.out_height + oh) * p_.out_width + ow) * p_.out_channels + first;
          for (int64_t f = 0; f < count; ++f)
            sums[f] += static_cast<double>(x[(first + f) / per_group * depth]) *
                       static_cast<double>(dy[f]);
        }
    T* dk = out(0).template data<T>() + row * p_.out_channels + first;
    for (int64_t f = 0; f < count; ++f) dk[f] = static_cast<T>(static_cast<Compute<T>>(sums[f]));
  }

  WindowPlan p_;
};

template <template <class> class K>
std::unique_ptr<Kernel> make_conv(const KernelRequest& request) {
  return for_floating(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_conv(KernelRegistry& registry) {
  registry.add("Conv2D", DeviceType::kCPU, kPlain, make_conv<ConvKernel>);
  registry.add("FusedConv2D", DeviceType::kCPU, kPlain, make_conv<ConvKernel>);
  registry.add("Conv2DBackwardInput", DeviceType::kCPU, kPlain, make_conv<ConvBackwardInputKernel>);
  registry.add("Conv2DBackwardKernel", DeviceType::kCPU, kPlain,
               make_conv<ConvBackwardKernelKernel>);
}

}  // namespace cohort::cpu::plain
