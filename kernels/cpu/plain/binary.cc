#include "cohort/kernels/cpu/plain/elementwise.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

template <class Fn>
std::unique_ptr<Kernel> make_number_binary(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    return std::make_unique<BinaryKernel<Fn, T, T>>(request);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_floating_binary(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    return std::make_unique<BinaryKernel<Fn, T, T>>(request);
  });
}

// Integer division: looks for zeros first, since a thread of the team must not throw.
template <class Fn, class T>
class IntegerDivisionKernel final : public BinaryKernel<Fn, T, T> {
 public:
  explicit IntegerDivisionKernel(const KernelRequest& request)
      : BinaryKernel<Fn, T, T>(request), name_(request.node.name()) {}
  void run() override {
    if (this->out(0).num_elements() > 0) {
      const T* b = this->in(1).template data<T>();
      for (int64_t i = 0; i < this->in(1).num_elements(); ++i)
        if (b[i] == 0)
          throw InvalidArgument("{}: got a divisor 0 at element {}; want none", name_, i);
    }
    BinaryKernel<Fn, T, T>::run();
  }

 private:
  std::string name_;
};

template <class Fn>
std::unique_ptr<Kernel> make_division(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    if constexpr (kIsInteger<T>)
      return std::make_unique<IntegerDivisionKernel<Fn, T>>(request);
    else
      return std::make_unique<BinaryKernel<Fn, T, T>>(request);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_comparison(const KernelRequest& request) {
  return visit_dtype(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BinaryKernel<Fn, decltype(type), bool>>(request);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_logical(const KernelRequest& request) {
  return std::make_unique<BinaryKernel<Fn, bool, bool>>(request);
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
