#include <algorithm>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/labels.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

// y[i, …] = table[indices[i], …]
template <class T>
class GatherKernel final : public CpuKernel {
 public:
  explicit GatherKernel(const KernelRequest& request)
      : CpuKernel(request),
        name_(request.node.name()),
        table_rows_(request.inputs[0].shape.size(0)),
        width_(request.inputs[0].shape.num_elements(1, request.inputs[0].shape.rank())) {}

  void run() override {
    check_indices(in(1), table_rows_, name_);
    const T* table = in(0).template data<T>();
    T* y = out(0).template data<T>();
    parallel_for(threads(), in(1).num_elements(),
                 grain_for(width_, 2 * width_ * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     std::copy_n(table + integer_at(in(1), i) * width_, width_, y + i * width_);
                 });
  }

 private:
  std::string name_;
  int64_t table_rows_;
  int64_t width_;
};

// Rows `values` added at `indices` of zeros. The columns are split over the team, so that equal
// indices add in order.
template <class T>
class SlicesToDenseKernel final : public CpuKernel {
 public:
  explicit SlicesToDenseKernel(const KernelRequest& request)
      : CpuKernel(request),
        name_(request.node.name()),
        table_rows_(request.outputs[0].shape.size(0)),
        width_(request.outputs[0].shape.num_elements(1, request.outputs[0].shape.rank())) {}

  void run() override {
    check_slices(in(0), table_rows_, name_);
    const T* values = in(1).template data<T>();
    T* y = out(0).template data<T>();
    const int64_t count = in(0).num_elements();
    parallel_for(threads(), width_,
                 grain_for(count, (count + table_rows_) * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t row = 0; row < table_rows_; ++row)
                     std::fill(y + row * width_ + begin, y + row * width_ + end, T{});
                   for (int64_t i = 0; i < count; ++i) {
                     const int64_t row = integer_at(in(0), i);
                     if (row < 0) continue;
                     T* to = y + row * width_;
                     for (int64_t c = begin; c < end; ++c)
                       to[c] = static_cast<T>(static_cast<Compute<T>>(
                           static_cast<Compute<T>>(to[c]) +
                           static_cast<Compute<T>>(values[i * width_ + c])));
                   }
                 });
  }

 private:
  std::string name_;
  int64_t table_rows_;
  int64_t width_;
};

template <class T>
class OneHotKernel final : public CpuKernel {
 public:
  explicit OneHotKernel(const KernelRequest& request)
      : CpuKernel(request),
        depth_(request.node.attrs().get<int64_t>("depth")),
        on_(cast_element<T>(request.node.attrs().get<double>("on_value"))),
        off_(cast_element<T>(request.node.attrs().get<double>("off_value"))) {}

  void run() override {
    T* y = out(0).template data<T>();
    std::fill_n(y, out(0).num_elements(), off_);
    for (int64_t i = 0; i < in(0).num_elements(); ++i) {
      const int64_t index = integer_at(in(0), i);
      if (index >= 0 && index < depth_) y[i * depth_ + index] = on_;
    }
  }

 private:
  int64_t depth_;
  T on_, off_;
};

// The first index of the largest element; the first NaN where there is one.
template <class T>
class ArgMaxKernel final : public CpuKernel {
 public:
  explicit ArgMaxKernel(const KernelRequest& request) : CpuKernel(request) {
    const Shape& x = request.inputs[0].shape;
    const int axis = x.axis(request.node.attrs().get<int64_t>("axis"), "argmax");
    size_ = x.size(axis);
    inner_ = x.num_elements(axis + 1, x.rank());
    if (size_ == 0 && request.outputs[0].num_elements() > 0)
      throw InvalidArgument("{}: got shape {} with an empty axis {}; want at least one element",
                            request.node.name(), x, axis);
  }

  void run() override {
    const T* x = in(0).template data<T>();
    int64_t* y = out(0).template data<int64_t>();
    parallel_for(threads(), out(0).num_elements(),
                 grain_for(2 * size_, size_ * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     y[i] = largest(x + i / inner_ * size_ * inner_ + i % inner_);
                 });
  }

 private:
  int64_t largest(const T* x) const {
    int64_t best = 0;
    auto value = static_cast<Compute<T>>(x[0]);
    for (int64_t k = 1; k < size_ && value == value; ++k) {
      const auto other = static_cast<Compute<T>>(x[k * inner_]);
      if (!(other > value) && other == other) continue;
      best = k;
      value = other;
    }
    return best;
  }

  int64_t size_ = 0;
  int64_t inner_ = 1;
};

std::unique_ptr<Kernel> make_gather(const KernelRequest& request) {
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<GatherKernel<decltype(type)>>(request);
  });
}

std::unique_ptr<Kernel> make_one_hot(const KernelRequest& request) {
  return visit_dtype(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<OneHotKernel<decltype(type)>>(request);
  });
}

template <template <class> class K>
std::unique_ptr<Kernel> make_number(const KernelRequest& request, DType dtype) {
  return for_numbers(dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<K<decltype(type)>>(request);
  });
}

}  // namespace

void register_indexing(KernelRegistry& registry) {
  registry.add("Gather", DeviceType::kCPU, kPlain, make_gather);
  registry.add("OneHot", DeviceType::kCPU, kPlain, make_one_hot);
  registry.add("SlicesToDense", DeviceType::kCPU, kPlain, [](const KernelRequest& request) {
    return make_number<SlicesToDenseKernel>(request, request.outputs[0].dtype);
  });
  registry.add("ArgMax", DeviceType::kCPU, kPlain, [](const KernelRequest& request) {
    return make_number<ArgMaxKernel>(request, request.inputs[0].dtype);
  });
}

}  // namespace cohort::cpu::plain
