#include <atomic>

#include "cohort/kernels/cpu/labels.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

// Over the last axis of x [M, K].
class RowKernel : public CpuKernel {
 protected:
  explicit RowKernel(const KernelRequest& request)
      : CpuKernel(request),
        classes_(request.inputs[0].shape.size(request.inputs[0].shape.rank() - 1)),
        rows_(classes_ > 0 ? request.inputs[0].num_elements() / classes_ : 0) {}

  template <class Fn>
  void split_rows(Fn&& fn) {
    parallel_for(threads(), rows_, grain_for(20 * classes_, 8 * classes_), fn);
  }

  int64_t classes_;
  int64_t rows_;
};

template <class T, bool kLog>
class SoftmaxKernel final : public RowKernel {
 public:
  explicit SoftmaxKernel(const KernelRequest& request) : RowKernel(request) {}
  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const auto compute = kLog ? simd().of<T>().log_softmax : simd().of<T>().softmax;
    split_rows([=, this](int64_t begin, int64_t end) {
      compute(x + begin * classes_, y + begin * classes_, end - begin, classes_);
    });
  }
  bool can_share(int, int) const override { return true; }
};

template <class T>
class SparseCrossEntropyKernel final : public RowKernel {
 public:
  explicit SparseCrossEntropyKernel(const KernelRequest& request)
      : RowKernel(request), name_(request.node.name()) {}

  void run() override {
    std::atomic<bool> good = true;
    split_rows([&, this](int64_t begin, int64_t end) {
      if (compute(begin, end) >= 0) good.store(false, std::memory_order_relaxed);
    });
    if (!good.load(std::memory_order_relaxed)) check_labels(in(1), classes_, name_);
  }

 private:
  std::ptrdiff_t compute(int64_t begin, int64_t end) const {
    const FloatRoutines<T>& routines = simd().of<T>();
    switch (in(1).dtype) {
      case DType::kI32:
        return routines.sparse_cross_entropy_i32(args<int32_t>(begin, end));
      case DType::kI64:
        return routines.sparse_cross_entropy_i64(args<int64_t>(begin, end));
      default:
        return routines.sparse_cross_entropy_u8(args<uint8_t>(begin, end));
    }
  }
  template <class L>
  SparseCrossEntropyArgs<T, L> args(int64_t begin, int64_t end) const {
    return {.rows = end - begin,
            .columns = classes_,
            .logits = in(0).template data<T>() + begin * classes_,
            .labels = in(1).template data<L>() + begin,
            .loss = out(0).template data<T>() + begin,
            .backprop = out(1).template data<T>() + begin * classes_};
  }
  std::string name_;
};

template <class T>
class CrossEntropyKernel final : public RowKernel {
 public:
  explicit CrossEntropyKernel(const KernelRequest& request) : RowKernel(request) {}
  void run() override {
    split_rows([this](int64_t begin, int64_t end) {
      simd().of<T>().cross_entropy({.rows = end - begin,
                                    .columns = classes_,
                                    .logits = in(0).template data<T>() + begin * classes_,
                                    .labels = in(1).template data<T>() + begin * classes_,
                                    .loss = out(0).template data<T>() + begin,
                                    .backprop = out(1).template data<T>() + begin * classes_});
    });
  }
};

template <class T>
using Softmax = SoftmaxKernel<T, false>;
template <class T>
using LogSoftmax = SoftmaxKernel<T, true>;

}  // namespace

void register_softmax(KernelRegistry& registry) {
  registry.add("Softmax", DeviceType::kCPU, kVector, make_by_output<Softmax>);
  registry.add("LogSoftmax", DeviceType::kCPU, kVector, make_by_output<LogSoftmax>);
  registry.add("SparseSoftmaxCrossEntropy", DeviceType::kCPU, kVector,
               make_by_output<SparseCrossEntropyKernel>);
  registry.add("SoftmaxCrossEntropy", DeviceType::kCPU, kVector,
               make_by_output<CrossEntropyKernel>);
}

}  // namespace cohort::cpu::vector
