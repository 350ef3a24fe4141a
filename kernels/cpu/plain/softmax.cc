#include <algorithm>
#include <cmath>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/labels.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"

namespace cohort::cpu::plain {
namespace {

// Over the last axis of x [M, K], row by row, in double.
class RowKernel : public CpuKernel {
 protected:
  explicit RowKernel(const KernelRequest& request)
      : CpuKernel(request),
        name_(request.node.name()),
        classes_(request.inputs[0].shape.size(request.inputs[0].shape.rank() - 1)),
        rows_(classes_ > 0 ? request.inputs[0].num_elements() / classes_ : 0) {}

  template <class Fn>
  void for_each_row(Fn&& fn) {
    parallel_for(threads(), rows_, grain_for(30 * classes_, 8 * classes_),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) fn(row);
                 });
  }

  std::string name_;
  int64_t classes_;
  int64_t rows_;
};

struct Row {
  double largest;
  double log_sum;  // log of the sum of exp(x - largest)
};

template <class T>
Row describe(const T* x, int64_t count) {
  double largest = -INFINITY;
  for (int64_t k = 0; k < count; ++k) {
    const double value = static_cast<double>(x[k]);
    if (value > largest || value != value) largest = value;
  }
  double sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += std::exp(static_cast<double>(x[k]) - largest);
  return {largest, std::log(sum)};
}

template <class T, bool kLog>
class SoftmaxKernel final : public RowKernel {
 public:
  explicit SoftmaxKernel(const KernelRequest& request) : RowKernel(request) {}

  void run() override {
    for_each_row([this](int64_t row) {
      const T* x = in(0).template data<T>() + row * classes_;
      T* y = out(0).template data<T>() + row * classes_;
      const Row r = describe(x, classes_);
      for (int64_t k = 0; k < classes_; ++k) {
        const double log_p = static_cast<double>(x[k]) - r.largest - r.log_sum;
        y[k] = from_double<T>(kLog ? log_p : std::exp(log_p));
      }
    });
  }
  bool can_share(int, int) const override { return true; }
};

// loss[m] = -log softmax(x)[m, label];  backprop = softmax(x) - onehot(label).
template <class T>
class SparseCrossEntropyKernel final : public RowKernel {
 public:
  explicit SparseCrossEntropyKernel(const KernelRequest& request) : RowKernel(request) {}

  void run() override {
    check_labels(in(1), classes_, name_);
    for_each_row([this](int64_t row) {
      const T* x = in(0).template data<T>() + row * classes_;
      T* backprop = out(1).template data<T>() + row * classes_;
      const int64_t label = integer_at(in(1), row);
      const Row r = describe(x, classes_);
      out(0).template data<T>()[row] =
          from_double<T>(r.log_sum + r.largest - static_cast<double>(x[label]));
      for (int64_t k = 0; k < classes_; ++k)
        backprop[k] = from_double<T>(std::exp(static_cast<double>(x[k]) - r.largest - r.log_sum) -
                                     (k == label ? 1 : 0));
    });
  }
};

// loss[m] = -sum over k of z log softmax(x);  backprop = softmax(x) * sum of z - z.
template <class T>
class CrossEntropyKernel final : public RowKernel {
 public:
  explicit CrossEntropyKernel(const KernelRequest& request) : RowKernel(request) {}

  void run() override {
    for_each_row([this](int64_t row) {
      const T* x = in(0).template data<T>() + row * classes_;
      const T* z = in(1).template data<T>() + row * classes_;
      T* backprop = out(1).template data<T>() + row * classes_;
      const Row r = describe(x, classes_);
      double loss = 0, total = 0;
      for (int64_t k = 0; k < classes_; ++k) {
        const double weight = static_cast<double>(z[k]);
        loss += weight * (r.log_sum + r.largest - static_cast<double>(x[k]));
        total += weight;
      }
      out(0).template data<T>()[row] = from_double<T>(loss);
      for (int64_t k = 0; k < classes_; ++k)
        backprop[k] =
            from_double<T>(std::exp(static_cast<double>(x[k]) - r.largest - r.log_sum) * total -
                           static_cast<double>(z[k]));
    });
  }
};

template <class T>
using Softmax = SoftmaxKernel<T, false>;
template <class T>
using LogSoftmax = SoftmaxKernel<T, true>;

template <template <class> class K>
std::unique_ptr<Kernel> make_softmax(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_softmax(KernelRegistry& registry) {
  registry.add("Softmax", DeviceType::kCPU, kPlain, make_softmax<Softmax>);
  registry.add("LogSoftmax", DeviceType::kCPU, kPlain, make_softmax<LogSoftmax>);
  registry.add("SparseSoftmaxCrossEntropy", DeviceType::kCPU, kPlain,
               make_softmax<SparseCrossEntropyKernel>);
  registry.add("SoftmaxCrossEntropy", DeviceType::kCPU, kPlain, make_softmax<CrossEntropyKernel>);
}

}  // namespace cohort::cpu::plain
