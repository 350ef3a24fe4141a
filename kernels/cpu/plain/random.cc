#include "kernels/cpu/random_stream.h"

#include "kernels/cpu/cpu_kernel.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/plain/elementwise_ops.h"
#include "kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

constexpr int64_t kFlopsEach = 40;  // about what a word of Philox costs

// y = x / (1 - rate) where the element is kept, else 0. Dropout and, on dy, its gradient.
template <class T>
class DropoutKernel final : public CpuKernel {
 public:
  explicit DropoutKernel(const KernelRequest& request)
      : CpuKernel(request),
        stream_(request.node.attrs(), request.outputs[0].shape),
        threshold_(philox_drop_threshold(request.node.attrs().get<double>("rate"))) {
    const double rate = request.node.attrs().get<double>("rate");
    scale_ = rate < 1 ? static_cast<Compute<T>>(1 / (1 - rate)) : Compute<T>{0};
  }

  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const uint64_t key = stream_.key(step()), first = stream_.first_index(step());
    parallel_for(threads(), out(0).num_elements(), grain_for(kFlopsEach, 2 * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   for_each_word(key, first, 0, begin, end, [=, this](int64_t i, uint32_t word) {
                     y[i] = (word >> 8) >= threshold_
                                ? static_cast<T>(static_cast<Compute<T>>(x[i]) * scale_)
                                : T{};
                   });
                 });
  }
  bool can_share(int, int) const override { return true; }

 private:
  RandomStream stream_;
  uint32_t threshold_;
  Compute<T> scale_;
};

// low + (high - low) u. Where rounding would give `high`, the number below it.
template <class T>
class UniformKernel final : public CpuKernel {
 public:
  explicit UniformKernel(const KernelRequest& request)
      : CpuKernel(request),
        stream_(request.node.attrs(), request.outputs[0].shape),
        low_(request.node.attrs().get<double>("low")),
        high_(request.node.attrs().get<double>("high")) {}

  void run() override {
    T* y = out(0).template data<T>();
    const uint64_t key = stream_.key(step()), first = stream_.first_index(step());
    parallel_for(threads(), out(0).num_elements(), grain_for(kFlopsEach, sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   for_each_word(key, first, 0, begin, end, [=, this](int64_t i, uint32_t word) {
                     y[i] = convert(key, first + static_cast<uint64_t>(i), word);
                   });
                 });
  }

 private:
  T convert(uint64_t key, uint64_t index, uint32_t word) const {
    using C = Compute<T>;
    if constexpr (std::is_same_v<T, double>) {
      const double u = philox_uniform_double(word, philox_word(key, index, 1));
      const double value = low_ + (high_ - low_) * u;
      return value < high_ ? value : std::nextafter(high_, low_);
    } else {
      const C value = static_cast<C>(low_ + (high_ - low_) * philox_uniform_float(word));
      if constexpr (kIsHalf<T>) {
        const T rounded(value);
        return static_cast<C>(rounded) < high_ || low_ == high_ ? rounded : below(rounded);
      } else {
        return value < high_ || low_ == high_ ? value : std::nextafter(value, static_cast<C>(low_));
      }
    }
  }
  // The next number towards low of a 16-bit float equal to high.
  static T below(T value) {
    T result = value;
    if (static_cast<float>(value) > 0)
      --result.bits;
    else if (static_cast<float>(value) < 0)
      ++result.bits;
    else
      result.bits = 0x8001;
    return result;
  }

  RandomStream stream_;
  double low_, high_;
};

template <class T>
class NormalKernel final : public CpuKernel {
 public:
  explicit NormalKernel(const KernelRequest& request)
      : CpuKernel(request),
        stream_(request.node.attrs(), request.outputs[0].shape),
        mean_(request.node.attrs().get<double>("mean")),
        stddev_(request.node.attrs().get<double>("stddev")) {}

  void run() override {
    T* y = out(0).template data<T>();
    const uint64_t key = stream_.key(step()), first = stream_.first_index(step());
    parallel_for(threads(), out(0).num_elements(), grain_for(4 * kFlopsEach, sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   for_each_word(key, first, 0, begin, end, [=, this](int64_t i, uint32_t word) {
                     const uint64_t index = first + static_cast<uint64_t>(i);
                     const double z = philox_normal(word, philox_word(key, index, 1));
                     y[i] = static_cast<T>(static_cast<Compute<T>>(mean_ + stddev_ * z));
                   });
                 });
  }

 private:
  RandomStream stream_;
  double mean_, stddev_;
};

template <template <class> class K>
std::unique_ptr<Kernel> make(const KernelRequest& request) {
  return for_floating(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_random(KernelRegistry& registry) {
  registry.add("Dropout", DeviceType::kCPU, kPlain, make<DropoutKernel>);
  registry.add("DropoutGrad", DeviceType::kCPU, kPlain, make<DropoutKernel>);
  registry.add("RandomUniform", DeviceType::kCPU, kPlain, make<UniformKernel>);
  registry.add("RandomNormal", DeviceType::kCPU, kPlain, make<NormalKernel>);
}

}  // namespace cohort::cpu::plain
