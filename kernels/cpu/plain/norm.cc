#include <cmath>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

// x [M, C]: M = everything but the last axis. Sums are in double, over m in order, so each
// channel's column can belong to any thread. S: type of scale, shift and statistics.

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, by the batch's own statistics.
template <class T, class S>
class BatchNormKernel final : public CpuKernel {
 public:
  explicit BatchNormKernel(const KernelRequest& request)
      : CpuKernel(request),
        channels_(request.inputs[1].num_elements()),
        rows_(channels_ > 0 ? request.inputs[0].num_elements() / channels_ : 0),
        epsilon_(request.node.attrs().get<double>("epsilon")) {}

  void run() override {
    parallel_for(threads(), channels_, grain_for(8 * rows_, 2 * rows_ * sizeof(T)),
                 [this](int64_t begin, int64_t end) {
                   for (int64_t c = begin; c < end; ++c) normalise(c);
                 });
  }

 private:
  void normalise(int64_t c) const {
    const T* x = in(0).template data<T>() + c;
    T* y = out(0).template data<T>() + c;
    double sum = 0;
    for (int64_t m = 0; m < rows_; ++m) sum += static_cast<double>(x[m * channels_]);
    const double mean = rows_ > 0 ? sum / static_cast<double>(rows_) : 0;
    double squares = 0;
    for (int64_t m = 0; m < rows_; ++m) {
      const double d = static_cast<double>(x[m * channels_]) - mean;
      squares += d * d;
    }
    const double variance = rows_ > 0 ? squares / static_cast<double>(rows_) : 0;
    const double scale =
        static_cast<double>(in(1).template data<S>()[c]) / std::sqrt(variance + epsilon_);
    const double shift = static_cast<double>(in(2).template data<S>()[c]);
    for (int64_t m = 0; m < rows_; ++m)
      y[m * channels_] =
          from_double<T>((static_cast<double>(x[m * channels_]) - mean) * scale + shift);
    out(1).template data<S>()[c] = from_double<S>(mean);
    out(2).template data<S>()[c] = from_double<S>(variance);
  }

  int64_t channels_;
  int64_t rows_;
  double epsilon_;
};

// With h = (x - mean) * r, r = 1 / sqrt(variance + epsilon):
//   dbeta = sum dy;  dgamma = sum dy * h;  dx = gamma r (dy - dbeta / M - h dgamma / M).
template <class T, class S>
class BatchNormGradKernel final : public CpuKernel {
 public:
  explicit BatchNormGradKernel(const KernelRequest& request)
      : CpuKernel(request),
        channels_(request.inputs[2].num_elements()),
        rows_(channels_ > 0 ? request.inputs[0].num_elements() / channels_ : 0),
        epsilon_(request.node.attrs().get<double>("epsilon")) {}

  void run() override {
    parallel_for(threads(), channels_, grain_for(12 * rows_, 3 * rows_ * sizeof(T)),
                 [this](int64_t begin, int64_t end) {
                   for (int64_t c = begin; c < end; ++c) differentiate(c);
                 });
  }

 private:
  void differentiate(int64_t c) const {
    const T* dy = in(0).template data<T>() + c;
    const T* x = in(1).template data<T>() + c;
    T* dx = out(0).template data<T>() + c;
    const double gamma = static_cast<double>(in(2).template data<S>()[c]);
    const double mean = static_cast<double>(in(3).template data<S>()[c]);
    const double r = 1 / std::sqrt(static_cast<double>(in(4).template data<S>()[c]) + epsilon_);
    double dbeta = 0, dgamma = 0;
    for (int64_t m = 0; m < rows_; ++m) {
      const double g = static_cast<double>(dy[m * channels_]);
      dbeta += g;
      dgamma += g * (static_cast<double>(x[m * channels_]) - mean) * r;
    }
    const double count = static_cast<double>(rows_);
    for (int64_t m = 0; m < rows_; ++m) {
      const double h = (static_cast<double>(x[m * channels_]) - mean) * r;
      dx[m * channels_] = from_double<T>(
          gamma * r *
          (static_cast<double>(dy[m * channels_]) - dbeta / count - h * dgamma / count));
    }
    out(1).template data<S>()[c] = from_double<S>(dgamma);
    out(2).template data<S>()[c] = from_double<S>(dbeta);
  }

  int64_t channels_;
  int64_t rows_;
  double epsilon_;
};

// Statistics and parameters have x's type, or f32 beside a 16-bit x.
template <template <class, class> class K>
std::unique_ptr<Kernel> make_norm(const KernelRequest& request) {
  const DType statistics = request.outputs[1].dtype;
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    if (statistics == dtype_of<T>()) return std::make_unique<K<T, T>>(request);
    if constexpr (kIsHalf<T>)
      if (statistics == DType::kF32) return std::make_unique<K<T, float>>(request);
    return nullptr;
  });
}

}  // namespace

void register_norm(KernelRegistry& registry) {
  registry.add("BatchNorm", DeviceType::kCPU, kPlain, make_norm<BatchNormKernel>);
  registry.add("BatchNormGrad", DeviceType::kCPU, kPlain, make_norm<BatchNormGradKernel>);
}

}  // namespace cohort::cpu::plain
