#include "cohort/kernels/cpu/random_kernel.h"

#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

constexpr int64_t kFlopsPerWord = 40;  // about what a word of Philox costs

template <class T>
class DropoutKernel final : public DropoutKernelBase {
 public:
  explicit DropoutKernel(const KernelRequest& request) : DropoutKernelBase(request) {}

  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const uint32_t least = threshold();
    const auto factor = static_cast<Compute<T>>(scale());
    split_elements(kFlopsPerWord, 2 * sizeof(T),
                   [=](uint64_t key, uint64_t first, int64_t begin, int64_t end) {
                     for_each_word(key, first, 0, begin, end, [=](int64_t i, uint32_t word) {
                       y[i] = (word >> 8) >= least
                                  ? static_cast<T>(static_cast<Compute<T>>(x[i]) * factor)
                                  : T{};
                     });
                   });
  }
};

// low + (high - low) u. Where rounding would give `high`, the number below it.
template <class T>
class UniformKernel final : public RandomKernel {
 public:
  explicit UniformKernel(const KernelRequest& request)
      : RandomKernel(request),
        low_(request.node.attrs().get<double>("low")),
        high_(request.node.attrs().get<double>("high")) {}

  void run() override {
    T* y = out(0).template data<T>();
    split_elements(kFlopsPerWord, sizeof(T),
                   [=, this](uint64_t key, uint64_t first, int64_t begin, int64_t end) {
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

  double low_, high_;
};

template <class T>
class NormalKernel final : public NormalKernelBase {
 public:
  explicit NormalKernel(const KernelRequest& request) : NormalKernelBase(request) {}

  void run() override {
    T* y = out(0).template data<T>();
    split_elements(4 * kFlopsPerWord, sizeof(T),
                   [=, this](uint64_t key, uint64_t first, int64_t begin, int64_t end) {
                     for_each_word(key, first, 0, begin, end, [=, this](int64_t i, uint32_t word) {
                       const uint64_t index = first + static_cast<uint64_t>(i);
                       const double z = philox_normal(word, philox_word(key, index, 1));
                       y[i] = static_cast<T>(static_cast<Compute<T>>(mean_ + stddev_ * z));
                     });
                   });
  }
};

template <template <class> class K>
std::unique_ptr<Kernel> make_random(const KernelRequest& request) {
  return for_floating(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_random(KernelRegistry& registry) {
  registry.add("Dropout", DeviceType::kCPU, kPlain, make_random<DropoutKernel>);
  registry.add("DropoutGrad", DeviceType::kCPU, kPlain, make_random<DropoutKernel>);
  registry.add("RandomUniform", DeviceType::kCPU, kPlain, make_random<UniformKernel>);
  registry.add("RandomNormal", DeviceType::kCPU, kPlain, make_random<NormalKernel>);
}

}  // namespace cohort::cpu::plain
