#include <algorithm>

#include "cohort/core/ops/segments.h"
#include "cohort/kernels/cpu/reduction_plan.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

// x seen as [outer, reduced, inner]; inner is 1 when the innermost axis is reduced.
struct Layout {
  int64_t outer = 1;
  int64_t reduced = 1;
  int64_t inner = 1;
};

// False where kept and reduced axes alternate more often than that.
bool describe(const KernelRequest& request, Layout& layout) {
  const ReductionPlan plan(request.inputs[0].shape, request.node.attrs());
  if (plan.reduced.size() > 1 || plan.num_reduced == 0) return false;
  layout.reduced = plan.num_reduced;
  layout.inner = plan.num_reduced > 1 ? plan.inner : 1;
  if (plan.num_outputs == 0) return false;
  layout.outer = plan.num_outputs / layout.inner;
  return true;
}

// Sums in a fixed order: rows of a matrix; or columns, by blocks of kBlockRows rows that are added
// in order, so that threads may share the blocks.
template <class T, bool kMean>
class SumKernel final : public CpuKernel {
 public:
  SumKernel(const KernelRequest& request, Layout layout) : CpuKernel(request), layout_(layout) {
    if (by_columns() && layout_.reduced > kBlockRows)
      blocks_ = (layout_.reduced + kBlockRows - 1) / kBlockRows;
    else if (one_number() && layout_.reduced > kBlockElements)
      blocks_ = (layout_.reduced + kBlockElements - 1) / kBlockElements;
  }

  size_t workspace_bytes() const override {
    if (one_number()) return static_cast<size_t>(blocks_) * sizeof(double);
    return blocks_ > 1 ? static_cast<size_t>(layout_.outer * blocks_ * layout_.inner) * sizeof(T)
                       : 0;
  }

  void run() override {
    if (one_number())
      sum_all();
    else if (!by_columns())
      sum_rows();
    else
      sum_columns();
    if (kMean && !one_number()) {
      T* y = out(0).template data<T>();
      const T count = static_cast<T>(layout_.reduced);
      for (int64_t i = 0; i < out(0).num_elements(); ++i) y[i] /= count;
    }
  }

 private:
  static constexpr int64_t kBlockRows = 2048;
  static constexpr int64_t kBlockElements = ops::kSumLine;

  bool by_columns() const { return layout_.inner > 1; }
  bool one_number() const { return layout_.inner == 1 && layout_.outer == 1; }

  void sum_all() {
    const T* x = in(0).template data<T>();
    double* partial = workspace<double>();
    parallel_for(threads(), blocks_, grain_for(kBlockElements, kBlockElements * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t block = begin; block < end; ++block) {
                     const int64_t first = block * kBlockElements;
                     partial[block] = simd().of<T>().sum(
                         x + first, std::min(kBlockElements, layout_.reduced - first));
                   }
                 });
    double sum = 0;
    for (int64_t block = 0; block < blocks_; ++block) sum += partial[block];
    if (kMean) sum /= static_cast<double>(layout_.reduced);
    *out(0).template data<T>() = static_cast<T>(sum);
  }

  void sum_rows() {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const int64_t columns = layout_.reduced;
    parallel_for(threads(), layout_.outer, grain_for(columns, columns * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   simd().of<T>().sum_rows(x + begin * columns, columns, y + begin, end - begin,
                                           columns);
                 });
  }

  void sum_columns() {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const int64_t columns = layout_.inner, rows = layout_.reduced;
    T* partial = blocks_ > 1 ? workspace<T>() : y;
    const int64_t block_rows = blocks_ > 1 ? kBlockRows : rows;
    parallel_for(threads(), layout_.outer * blocks_,
                 grain_for(block_rows * columns, block_rows * columns * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t task = begin; task < end; ++task) {
                     const int64_t first = task % blocks_ * block_rows;
                     simd().of<T>().sum_columns(x + (task / blocks_ * rows + first) * columns,
                                                columns, partial + task * columns,
                                                std::min(block_rows, rows - first), columns, false);
                   }
                 });
    if (blocks_ == 1) return;
    for (int64_t i = 0; i < layout_.outer; ++i)
      simd().of<T>().sum_columns(partial + i * blocks_ * columns, columns, y + i * columns, blocks_,
                                 columns, false);
  }

  Layout layout_;
  int64_t blocks_ = 1;
};

// The sums of SumKernel's blocks, for each segment of which lines lie in x.
template <class T>
class SegmentSumsKernel final : public CpuKernel {
 public:
  explicit SegmentSumsKernel(const KernelRequest& request) : CpuKernel(request) {
    const auto& offsets = request.node.attrs().get<std::vector<int64_t>>("offsets");
    const auto& elements = request.node.attrs().get<std::vector<int64_t>>("elements");
    const auto first = request.node.attrs().get<int64_t>("first");
    const int64_t held = request.inputs[0].num_elements();
    for (size_t i = 0; i < offsets.size(); ++i)
      for (int64_t at = 0; at < elements[i]; at += ops::kSumLine) {
        const int64_t begin = offsets[i] + at - first;
        const int64_t count = std::min(ops::kSumLine, elements[i] - at);
        const bool is_here = begin >= 0 && begin + count <= held;
        lines_.push_back(is_here ? Line{begin, count} : Line{0, 0});
      }
  }

  void run() override {
    const T* x = in(0).template data<T>();
    double* sums = out(0).template data<double>();
    parallel_for(
        threads(), static_cast<int64_t>(lines_.size()),
        grain_for(ops::kSumLine, ops::kSumLine * sizeof(T)), [=, this](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const Line& line = lines_[static_cast<size_t>(i)];
            sums[i] = line.count > 0 ? simd().of<T>().sum(x + line.begin, line.count) : 0.0;
          }
        });
  }

 private:
  struct Line {
    int64_t begin, count;
  };
  std::vector<Line> lines_;
};

template <class T, bool kMax>
class ExtremeKernel final : public CpuKernel {
 public:
  ExtremeKernel(const KernelRequest& request, Layout layout)
      : CpuKernel(request), layout_(layout) {}
  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    const int64_t columns = layout_.reduced;
    const auto reduce = kMax ? simd().of<T>().max_rows : simd().of<T>().min_rows;
    parallel_for(threads(), layout_.outer, grain_for(columns, columns * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   reduce(x + begin * columns, columns, y + begin, end - begin, columns);
                 });
  }

 private:
  Layout layout_;
};

template <class T>
class ArgMaxKernel final : public CpuKernel {
 public:
  explicit ArgMaxKernel(const KernelRequest& request)
      : CpuKernel(request),
        columns_(request.inputs[0].shape.size(request.inputs[0].shape.rank() - 1)) {}
  void run() override {
    const T* x = in(0).template data<T>();
    int64_t* y = out(0).template data<int64_t>();
    parallel_for(threads(), out(0).num_elements(), grain_for(columns_, columns_ * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   simd().of<T>().argmax_rows(x + begin * columns_, columns_, y + begin,
                                              end - begin, columns_);
                 });
  }

 private:
  int64_t columns_;
};

template <template <class> class K>
std::unique_ptr<Kernel> make_by_input(const KernelRequest& request) {
  return make_for<K>(request.inputs[0].dtype, request);
}

template <bool kMean>
std::unique_ptr<Kernel> make_sum(const KernelRequest& request) {
  Layout layout;
  if (!describe(request, layout)) return nullptr;
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<SumKernel<float, kMean>>(request, layout);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<SumKernel<double, kMean>>(request, layout);
  return nullptr;
}

template <bool kMax>
std::unique_ptr<Kernel> make_extreme(const KernelRequest& request) {
  Layout layout;
  if (!describe(request, layout) || layout.inner != 1) return nullptr;
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<ExtremeKernel<float, kMax>>(request, layout);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<ExtremeKernel<double, kMax>>(request, layout);
  return nullptr;
}

std::unique_ptr<Kernel> make_argmax(const KernelRequest& request) {
  const Shape& x = request.inputs[0].shape;
  const int axis = x.axis(request.node.attrs().get<int64_t>("axis"), "argmax");
  if (axis != x.rank() - 1 || x.size(axis) == 0) return nullptr;
  return make_for<ArgMaxKernel>(request.inputs[0].dtype, request);
}

}  // namespace

void register_reduce(KernelRegistry& registry) {
  registry.add("ReduceSum", DeviceType::kCPU, kVector, make_sum<false>);
  registry.add("ReduceMean", DeviceType::kCPU, kVector, make_sum<true>);
  registry.add("ReduceMax", DeviceType::kCPU, kVector, make_extreme<true>);
  registry.add("ReduceMin", DeviceType::kCPU, kVector, make_extreme<false>);
  registry.add("ArgMax", DeviceType::kCPU, kVector, make_argmax);
  registry.add("SegmentSums", DeviceType::kCPU, kVector, make_by_input<SegmentSumsKernel>);
}

}  // namespace cohort::cpu::vector
