#include <algorithm>
#include <limits>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/plain/types.h"
#include "cohort/kernels/cpu/reduction_plan.h"

namespace cohort::cpu::plain {
namespace {

// Each reduction: where it starts, how it takes an element, how it ends. A: accumulator.
struct Sum {
  template <class A>
  static A first() {
    return A{0};
  }
  template <class A>
  static A step(A sum, A x) {
    return static_cast<A>(sum + x);
  }
  template <class A>
  static A finish(A sum, int64_t) {
    return sum;
  }
};
struct Mean : Sum {
  template <class A>
  static A finish(A sum, int64_t count) {
    if constexpr (std::is_integral_v<A>)
      return count == 0 ? A{0} : static_cast<A>(sum / static_cast<A>(count));
    else
      return sum / static_cast<A>(count);
  }
};
struct Prod {
  template <class A>
  static A first() {
    return A{1};
  }
  template <class A>
  static A step(A product, A x) {
    return static_cast<A>(product * x);
  }
  template <class A>
  static A finish(A product, int64_t) {
    return product;
  }
};
// NaN wins, as in NumPy.
struct Max {
  template <class A>
  static A first() {
    if constexpr (std::is_integral_v<A>)
      return std::numeric_limits<A>::lowest();
    else
      return -std::numeric_limits<A>::infinity();
  }
  template <class A>
  static A step(A best, A x) {
    return x > best || x != x ? x : best;
  }
  template <class A>
  static A finish(A best, int64_t) {
    return best;
  }
};
struct Min {
  template <class A>
  static A first() {
    if constexpr (std::is_integral_v<A>)
      return std::numeric_limits<A>::max();
    else
      return std::numeric_limits<A>::infinity();
  }
  template <class A>
  static A step(A best, A x) {
    return x < best || x != x ? x : best;
  }
  template <class A>
  static A finish(A best, int64_t) {
    return best;
  }
};
struct Any {
  template <class A>
  static A first() {
    return false;
  }
  template <class A>
  static A step(A any, A x) {
    return any || x;
  }
  template <class A>
  static A finish(A any, int64_t) {
    return any;
  }
};
struct All {
  template <class A>
  static A first() {
    return true;
  }
  template <class A>
  static A step(A all, A x) {
    return all && x;
  }
  template <class A>
  static A finish(A all, int64_t) {
    return all;
  }
};

// Outputs that are neighbours in the input are reduced together, up to kTogether at a time. Every
// output takes its elements in row-major order, one after the other.
template <class R, class T>
class ReduceKernel final : public CpuKernel {
 public:
  explicit ReduceKernel(const KernelRequest& request)
      : CpuKernel(request), plan_(request.inputs[0].shape, request.node.attrs()) {}

  void run() override {
    const int64_t groups = (plan_.inner + kTogether - 1) / kTogether;
    const int64_t tasks = plan_.inner > 0 ? plan_.num_outputs / plan_.inner * groups : 0;
    const int64_t flops = plan_.num_reduced * std::min(plan_.inner, kTogether);
    parallel_for(threads(), tasks, grain_for(flops, flops * static_cast<int64_t>(sizeof(T))),
                 [=, this](int64_t begin, int64_t end) {
                   for (int64_t task = begin; task < end; ++task) {
                     const int64_t column = task % groups * kTogether;
                     reduce(task / groups * plan_.inner + column,
                            std::min(kTogether, plan_.inner - column));
                   }
                 });
  }

 private:
  using A = std::conditional_t<std::is_same_v<T, bool>, bool, Accumulator<T>>;
  static constexpr int64_t kTogether = 64;

  void reduce(int64_t output, int64_t count) const {
    A sums[kTogether];
    std::fill_n(sums, count, R::template first<A>());
    const T* x = in(0).template data<T>() + plan_.base(output);
    plan_.for_each(0, plan_.num_reduced, [&](int64_t offset) {
      for (int64_t i = 0; i < count; ++i)
        sums[i] = R::template step<A>(sums[i], static_cast<A>(x[offset + i]));
    });
    T* y = out(0).template data<T>() + output;
    for (int64_t i = 0; i < count; ++i)
      y[i] = convert(R::template finish<A>(sums[i], plan_.num_reduced));
  }

  static T convert(A value) {
    if constexpr (kIsHalf<T>)
      return T(static_cast<float>(value));
    else
      return static_cast<T>(value);
  }

  ReductionPlan plan_;
};

template <class R>
std::unique_ptr<Kernel> make_reduce(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<ReduceKernel<R, decltype(type)>>(request);
  });
}

template <class R>
std::unique_ptr<Kernel> make_bool(const KernelRequest& request) {
  return std::make_unique<ReduceKernel<R, bool>>(request);
}

}  // namespace

void register_reduce(KernelRegistry& registry) {
  registry.add("ReduceSum", DeviceType::kCPU, kPlain, make_reduce<Sum>);
  registry.add("ReduceMean", DeviceType::kCPU, kPlain, make_reduce<Mean>);
  registry.add("ReduceProd", DeviceType::kCPU, kPlain, make_reduce<Prod>);
  registry.add("ReduceMax", DeviceType::kCPU, kPlain, make_reduce<Max>);
  registry.add("ReduceMin", DeviceType::kCPU, kPlain, make_reduce<Min>);
  registry.add("ReduceAny", DeviceType::kCPU, kPlain, make_bool<Any>);
  registry.add("ReduceAll", DeviceType::kCPU, kPlain, make_bool<All>);
}

}  // namespace cohort::cpu::plain
