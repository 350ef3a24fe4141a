// Arithmetic of one operation an element: loops that any compiler vectorises, bound by memory.
#include <algorithm>
#include <numeric>

#include "kernels/cpu/broadcast.h"
#include "kernels/cpu/plain/elementwise_ops.h"
#include "kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

template <class Fn, class T>
class UnaryKernel final : public CpuKernel {
 public:
  explicit UnaryKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(), grain_for(1, 2 * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) y[i] = Fn{}(x[i]);
                 });
  }
  bool can_share(int, int) const override { return true; }
};

template <class Fn, class T>
class BinaryKernel final : public CpuKernel {
 public:
  explicit BinaryKernel(const KernelRequest& request)
      : CpuKernel(request),
        plan_(request.outputs[0].shape,
              std::array{request.inputs[0].shape, request.inputs[1].shape}) {}

  void run() override {
    const T* a = in(0).template data<T>();
    const T* b = in(1).template data<T>();
    T* y = out(0).template data<T>();
    const bool walk_a = plan_.inner_stride(0) == 1, walk_b = plan_.inner_stride(1) == 1;
    parallel_for(threads(), plan_.num_elements(), grain_for(1, 3 * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   plan_.for_each_run(begin, end, [=](int64_t at, const auto& from, int64_t n) {
                     if (walk_a && walk_b)
                       loop<1, 1>(a + from[0], b + from[1], y + at, n);
                     else if (walk_a)
                       loop<1, 0>(a + from[0], b + from[1], y + at, n);
                     else
                       loop<0, 1>(a + from[0], b + from[1], y + at, n);
                   });
                 });
  }

  bool can_share(int, int input) const override {
    return in(input).num_elements() == out(0).num_elements();
  }

 private:
  // The output may lie on an input of its shape: each element is read before it is written.
  template <int SA, int SB>
  static void loop(const T* a, const T* b, T* y, int64_t n) {
    const T first_a = *a, first_b = *b;
    for (int64_t i = 0; i < n; ++i) y[i] = Fn{}(SA ? a[i] : first_a, SB ? b[i] : first_b);
  }

  BroadcastPlan plan_;
};

// y = x_0 + x_1 + …, in this order.
template <class T>
class AddNKernel final : public CpuKernel {
 public:
  explicit AddNKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    T* y = out(0).template data<T>();
    const T* first = in(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(),
                 grain_for(num_inputs(), 2 * num_inputs() * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   if (num_inputs() == 1) std::copy(first + begin, first + end, y + begin);
                   for (int k = 1; k < num_inputs(); ++k) {
                     const T* sum = k == 1 ? first : y;
                     const T* x = in(k).template data<T>();
                     for (int64_t i = begin; i < end; ++i) y[i] = sum[i] + x[i];
                   }
                 });
  }
  // All but the first two inputs are read after y is written.
  bool can_share(int, int input) const override {
    if (input > 1) return false;
    for (int k = 2; k < num_inputs(); ++k)
      if (in(k).slot == in(input).slot) return false;
    return true;
  }
};

// [M, N] -> [N, M], the last two axes of anything whose other axes stay.
template <class T>
class TransposeKernel final : public CpuKernel {
 public:
  explicit TransposeKernel(const KernelRequest& request) : CpuKernel(request) {
    const Shape& x = request.inputs[0].shape;
    rows_ = x.size(x.rank() - 2);
    columns_ = x.size(x.rank() - 1);
    matrices_ = x.num_elements(0, x.rank() - 2);
  }
  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    parallel_for(threads(), matrices_ * columns_, grain_for(0, 2 * rows_ * sizeof(T)),
                 [=, this](int64_t begin, int64_t end) {
                   while (begin < end) {
                     const int64_t matrix = begin / columns_, column = begin % columns_;
                     const int64_t count = std::min(columns_ - column, end - begin);
                     const int64_t base = matrix * rows_ * columns_;
                     simd().of<T>().transpose(x + base + column, columns_,
                                              y + base + column * rows_, rows_, rows_, count);
                     begin += count;
                   }
                 });
  }

 private:
  int64_t rows_ = 0;
  int64_t columns_ = 0;
  int64_t matrices_ = 0;
};

// All elements of all inputs, looked at in the calling thread: bound by memory.
class CheckFiniteKernel final : public CpuKernel {
 public:
  explicit CheckFiniteKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    bool finite = true;
    for (int i = 0; finite && i < num_inputs(); ++i)
      finite = in(i).dtype == DType::kF32
                   ? simd().f32.all_finite(in(i).data<float>(), in(i).num_elements())
                   : simd().f64.all_finite(in(i).data<double>(), in(i).num_elements());
    *out(0).data<bool>() = finite;
  }
};

template <class Fn>
std::unique_ptr<Kernel> make_unary(const KernelRequest& request) {
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<UnaryKernel<Fn, float>>(request);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<UnaryKernel<Fn, double>>(request);
  return nullptr;
}

template <class Fn>
std::unique_ptr<Kernel> make_binary(const KernelRequest& request) {
  if (request.outputs[0].num_elements() == 0) return nullptr;
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<BinaryKernel<Fn, float>>(request);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<BinaryKernel<Fn, double>>(request);
  return nullptr;
}

std::unique_ptr<Kernel> make_transpose(const KernelRequest& request) {
  const auto& permutation = request.node.attrs().get<std::vector<int64_t>>("permutation");
  if (permutation.size() < 2) return nullptr;
  std::vector<int64_t> wanted(permutation.size());
  std::iota(wanted.begin(), wanted.end(), 0);
  std::swap(wanted[wanted.size() - 1], wanted[wanted.size() - 2]);
  if (permutation != wanted) return nullptr;
  return make_by_output<TransposeKernel>(request);
}

std::unique_ptr<Kernel> make_check_finite(const KernelRequest& request) {
  for (const Operand& x : request.inputs)
    if (x.dtype != DType::kF32 && x.dtype != DType::kF64) return nullptr;
  return std::make_unique<CheckFiniteKernel>(request);
}

}  // namespace

void register_arithmetic(KernelRegistry& registry) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    registry.add(op, DeviceType::kCPU, kVector, make);
  };
  add("Neg", make_unary<plain::Neg>);
  add("Abs", make_unary<plain::Abs>);
  add("Square", make_unary<plain::Square>);
  add("Sqrt", make_unary<plain::Sqrt>);
  add("Rsqrt", make_unary<plain::Rsqrt>);
  add("Reciprocal", make_unary<plain::Reciprocal>);
  add("Add", make_binary<plain::Add>);
  add("Sub", make_binary<plain::Sub>);
  add("Mul", make_binary<plain::Mul>);
  add("Div", make_binary<plain::Div>);
  add("Maximum", make_binary<plain::Maximum>);
  add("Minimum", make_binary<plain::Minimum>);
  add("SquaredDifference", make_binary<plain::SquaredDifference>);
  add("AddN", make_by_output<AddNKernel>);
  add("Transpose", make_transpose);
  add("CheckFinite", make_check_finite);
}

}  // namespace cohort::cpu::vector
