#include <algorithm>

#include "cohort/kernels/cpu/plain/elementwise.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

template <class Fn>
std::unique_ptr<Kernel> make_number_binary(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BinaryKernel>(request, binary_loop<Fn, decltype(type)>);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_floating_binary(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BinaryKernel>(request, binary_loop<Fn, decltype(type)>);
  });
}

// The first element that is 0; n where there is none.
using ZeroSearch = int64_t (*)(const void* x, int64_t n);
template <class T>
int64_t first_zero(const void* x, int64_t n) {
  const T* elements = static_cast<const T*>(x);
  return std::find(elements, elements + n, T{0}) - elements;
}

// Integer division: looks for zeros first, since a thread of the team must not throw.
class IntegerDivisionKernel final : public BinaryKernel {
 public:
  IntegerDivisionKernel(const KernelRequest& request, BinaryLoop loop, ZeroSearch search)
      : BinaryKernel(request, loop), search_(search), name_(request.node.name()) {}
  void run() override {
    if (out(0).num_elements() > 0) {
      const int64_t at = search_(in(1).data<void>(), in(1).num_elements());
      if (at < in(1).num_elements())
        throw InvalidArgument("{}: got a divisor 0 at element {}; want none", name_, at);
    }
    BinaryKernel::run();
  }

 private:
  ZeroSearch search_;
  std::string name_;
};

template <class Fn>
std::unique_ptr<Kernel> make_division(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    if constexpr (kIsInteger<T>)
      return std::make_unique<IntegerDivisionKernel>(request, binary_loop<Fn, T>, first_zero<T>);
    else
      return std::make_unique<BinaryKernel>(request, binary_loop<Fn, T>);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_comparison(const KernelRequest& request) {
  return visit_dtype(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BinaryKernel>(request, binary_loop<Fn, decltype(type), bool>);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_logical(const KernelRequest& request) {
  return std::make_unique<BinaryKernel>(request, binary_loop<Fn, bool>);
}

}  // namespace

void register_binary(KernelRegistry& registry) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    registry.add(op, DeviceType::kCPU, kPlain, make);
  };
  add("Add", make_number_binary<Add>);
  add("Sub", make_number_binary<Sub>);
  add("Mul", make_number_binary<Mul>);
  add("Div", make_division<Div>);
  add("FloorMod", make_division<FloorMod>);
  add("Pow", make_number_binary<Pow>);
  add("Maximum", make_number_binary<Maximum>);
  add("Minimum", make_number_binary<Minimum>);
  add("SquaredDifference", make_number_binary<SquaredDifference>);
  add("ReluGrad", make_number_binary<ReluGrad>);
  add("SigmoidGrad", make_floating_binary<SigmoidGrad>);
  add("TanhGrad", make_floating_binary<TanhGrad>);
  add("Equal", make_comparison<Equal>);
  add("NotEqual", make_comparison<NotEqual>);
  add("Less", make_comparison<Less>);
  add("LessEqual", make_comparison<LessEqual>);
  add("Greater", make_comparison<Greater>);
  add("GreaterEqual", make_comparison<GreaterEqual>);
  add("LogicalAnd", make_logical<LogicalAnd>);
  add("LogicalOr", make_logical<LogicalOr>);
}

}  // namespace cohort::cpu::plain
