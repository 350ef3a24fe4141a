// Arithmetic of one operation an element, comparison and choice.
#include <algorithm>
#include <numeric>

#include "cohort/kernels/cpu/broadcast.h"
#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

template <Arithmetic kF, class T>
class UnaryArithmeticKernel final : public CpuKernel {
 public:
  explicit UnaryArithmeticKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(), grain_for(1, 2 * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   simd().of<T>().arithmetic_unary(kF, x + begin, y + begin, end - begin);
                 });
  }
  bool can_share(int, int) const override { return true; }
};

/// What kernels with broadcast operands share.
class BroadcastKernel : public CpuKernel {
 public:
  bool can_share(int, int input) const override {
    return size_of(in(input).dtype) == size_of(out(0).dtype) &&
           in(input).num_elements() == out(0).num_elements();
  }

 protected:
  explicit BroadcastKernel(const KernelRequest& request)
      : CpuKernel(request), plan_(plan(request)) {}

  template <class T>
  Stream<T> stream(int i, const BroadcastPlan::Offsets& from) const {
    return {in(i).data<T>() + from[static_cast<size_t>(i)], plan_.inner_stride(i) == 1};
  }
  /// fn(first element of the output, first elements of the inputs, count) for runs in which every
  /// input walks or stands.
  template <class Fn>
  void for_each_run(int64_t bytes_each, Fn&& fn) {
    parallel_for(threads(), plan_.num_elements(), grain_for(1, bytes_each),
                 [&, this](int64_t begin, int64_t end) { plan_.for_each_run(begin, end, fn); });
  }

 private:
  static BroadcastPlan plan(const KernelRequest& request) {
    std::vector<Shape> shapes;
    for (const Operand& input : request.inputs) shapes.push_back(input.shape);
    return BroadcastPlan(request.outputs[0].shape, shapes);
  }

  BroadcastPlan plan_;
};

template <Arithmetic kF, class T>
class BinaryKernel final : public BroadcastKernel {
 public:
  explicit BinaryKernel(const KernelRequest& request) : BroadcastKernel(request) {}
  void run() override {
    T* y = out(0).template data<T>();
    for_each_run(3 * sizeof(T), [=, this](int64_t at, const auto& from, int64_t n) {
      simd().of<T>().arithmetic_binary(kF, this->stream<T>(0, from), this->stream<T>(1, from),
                                       y + at, n);
    });
  }
};

template <class T>
class FmaKernel final : public BroadcastKernel {
 public:
  explicit FmaKernel(const KernelRequest& request) : BroadcastKernel(request) {}
  void run() override {
    T* y = out(0).template data<T>();
    for_each_run(4 * sizeof(T), [=, this](int64_t at, const auto& from, int64_t n) {
      simd().of<T>().fma(this->stream<T>(0, from), this->stream<T>(1, from),
                         this->stream<T>(2, from), y + at, n);
    });
  }
};

template <Comparison kF, class T>
class ComparisonKernel final : public BroadcastKernel {
 public:
  explicit ComparisonKernel(const KernelRequest& request) : BroadcastKernel(request) {}
  void run() override {
    uint8_t* y = out(0).data<uint8_t>();
    for_each_run(2 * sizeof(T) + 1, [=, this](int64_t at, const auto& from, int64_t n) {
      simd().of<T>().compare(kF, this->stream<T>(0, from), this->stream<T>(1, from), y + at, n);
    });
  }
};

/// T: of the size of the elements that are chosen.
template <class T>
class SelectKernel final : public BroadcastKernel {
 public:
  explicit SelectKernel(const KernelRequest& request) : BroadcastKernel(request) {}
  void run() override {
    const uint8_t* condition = in(0).data<uint8_t>();
    T* y = out(0).template data<T>();
    for_each_run(3 * sizeof(T) + 1, [=, this](int64_t at, const auto& from, int64_t n) {
      const Stream<T> a = this->stream<T>(1, from), b = this->stream<T>(2, from);
      if (this->stream<uint8_t>(0, from).walks) {
        simd().of<T>().select(condition + from[0], a, b, y + at, n);
      } else {
        copy(condition[from[0]] ? a : b, y + at, n);
      }
    });
  }

 private:
  static void copy(Stream<T> from, T* y, int64_t n) {
    if (from.walks)
      std::copy_n(from.data, n, y);
    else
      std::fill_n(y, n, *from.data);
  }
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

template <Arithmetic kF>
std::unique_ptr<Kernel> make_unary_arithmetic(const KernelRequest& request) {
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<UnaryArithmeticKernel<kF, float>>(request);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<UnaryArithmeticKernel<kF, double>>(request);
  return nullptr;
}

template <Arithmetic kF>
std::unique_ptr<Kernel> make_binary(const KernelRequest& request) {
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<BinaryKernel<kF, float>>(request);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<BinaryKernel<kF, double>>(request);
  return nullptr;
}

template <Comparison kF>
std::unique_ptr<Kernel> make_comparison(const KernelRequest& request) {
  if (request.inputs[0].dtype == DType::kF32)
    return std::make_unique<ComparisonKernel<kF, float>>(request);
  if (request.inputs[0].dtype == DType::kF64)
    return std::make_unique<ComparisonKernel<kF, double>>(request);
  return nullptr;
}

std::unique_ptr<Kernel> make_select(const KernelRequest& request) {
  switch (size_of(request.outputs[0].dtype)) {
    case sizeof(float):
      return std::make_unique<SelectKernel<float>>(request);
    case sizeof(double):
      return std::make_unique<SelectKernel<double>>(request);
    default:
      return nullptr;
  }
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
  add("Neg", make_unary_arithmetic<Arithmetic::kNeg>);
  add("Abs", make_unary_arithmetic<Arithmetic::kAbs>);
  add("Square", make_unary_arithmetic<Arithmetic::kSquare>);
  add("Sqrt", make_unary_arithmetic<Arithmetic::kSqrt>);
  add("Rsqrt", make_unary_arithmetic<Arithmetic::kRsqrt>);
  add("Reciprocal", make_unary_arithmetic<Arithmetic::kReciprocal>);
  add("Add", make_binary<Arithmetic::kAdd>);
  add("Sub", make_binary<Arithmetic::kSub>);
  add("Mul", make_binary<Arithmetic::kMul>);
  add("Div", make_binary<Arithmetic::kDiv>);
  add("Maximum", make_binary<Arithmetic::kMaximum>);
  add("Minimum", make_binary<Arithmetic::kMinimum>);
  add("SquaredDifference", make_binary<Arithmetic::kSquaredDifference>);
  add("Fma", make_by_output<FmaKernel>);
  add("Equal", make_comparison<Comparison::kEqual>);
  add("NotEqual", make_comparison<Comparison::kNotEqual>);
  add("Less", make_comparison<Comparison::kLess>);
  add("LessEqual", make_comparison<Comparison::kLessEqual>);
  add("Greater", make_comparison<Comparison::kGreater>);
  add("GreaterEqual", make_comparison<Comparison::kGreaterEqual>);
  add("Select", make_select);
  add("AddN", make_by_output<AddNKernel>);
  add("Transpose", make_transpose);
  add("CheckFinite", make_check_finite);
}

}  // namespace cohort::cpu::vector
