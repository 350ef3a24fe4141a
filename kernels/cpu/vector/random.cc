#include "kernels/cpu/random_stream.h"
#include "kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

constexpr int64_t kFlopsEach = 20;  // about what a word of Philox costs

template <class T>
class DropoutKernel final : public CpuKernel {
 public:
  explicit DropoutKernel(const KernelRequest& request)
      : CpuKernel(request), stream_(request.node.attrs(), request.outputs[0].shape) {
    const double rate = request.node.attrs().get<double>("rate");
    threshold_ = philox_drop_threshold(rate);
    scale_ = rate < 1 ? static_cast<T>(1 / (1 - rate)) : T{0};
  }

  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const uint64_t key = stream_.key(step()), first = stream_.first_index(step());
    parallel_for(threads(), out(0).num_elements(), grain_for(kFlopsEach, 2 * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   simd().of<T>().dropout({key, first + static_cast<uint64_t>(begin)}, threshold_,
                                          scale_, x + begin, y + begin, end - begin);
                 });
  }
  bool can_share(int, int) const override { return true; }

 private:
  RandomStream stream_;
  uint32_t threshold_;
  T scale_;
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
                   simd().of<T>().normal({key, first + static_cast<uint64_t>(begin)}, mean_,
                                         stddev_, y + begin, end - begin);
                 });
  }

 private:
  RandomStream stream_;
  double mean_, stddev_;
};

}  // namespace

void register_random(KernelRegistry& registry) {
  registry.add("Dropout", DeviceType::kCPU, kVector, make_by_output<DropoutKernel>);
  registry.add("DropoutGrad", DeviceType::kCPU, kVector, make_by_output<DropoutKernel>);
  registry.add("RandomNormal", DeviceType::kCPU, kVector, make_by_output<NormalKernel>);
}

}  // namespace cohort::cpu::vector
