#include "cohort/kernels/cpu/random_kernel.h"

#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

constexpr int64_t kFlopsPerWord = 20;  // about what a word of Philox costs

template <class T>
class DropoutKernel final : public DropoutKernelBase {
 public:
  explicit DropoutKernel(const KernelRequest& request) : DropoutKernelBase(request) {}

  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const uint32_t least = threshold();
    const auto factor = static_cast<T>(scale());
    split_elements(kFlopsPerWord, 2 * sizeof(T),
                   [=](uint64_t key, uint64_t first, int64_t begin, int64_t end) {
                     simd().of<T>().dropout({key, first + static_cast<uint64_t>(begin)}, least,
                                            factor, x + begin, y + begin, end - begin);
                   });
  }
};

template <class T>
class NormalKernel final : public NormalKernelBase {
 public:
  explicit NormalKernel(const KernelRequest& request) : NormalKernelBase(request) {}

  void run() override {
    T* y = out(0).template data<T>();
    split_elements(4 * kFlopsPerWord, sizeof(T),
                   [=, this](uint64_t key, uint64_t first, int64_t begin, int64_t end) {
                     simd().of<T>().normal({key, first + static_cast<uint64_t>(begin)}, mean_,
                                           stddev_, y + begin, end - begin);
                   });
  }
};

}  // namespace

void register_random(KernelRegistry& registry) {
  registry.add("Dropout", DeviceType::kCPU, kVector, make_by_output<DropoutKernel>);
  registry.add("DropoutGrad", DeviceType::kCPU, kVector, make_by_output<DropoutKernel>);
  registry.add("RandomNormal", DeviceType::kCPU, kVector, make_by_output<NormalKernel>);
}

}  // namespace cohort::cpu::vector
