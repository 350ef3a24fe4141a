#include "cohort/kernels/cpu/plain/elementwise.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

template <class Fn>
std::unique_ptr<Kernel> make_floating(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    return std::make_unique<UnaryKernel<Fn, T, T>>(request);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_number(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    return std::make_unique<UnaryKernel<Fn, T, T>>(request);
  });
}

std::unique_ptr<Kernel> make_is_finite(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<UnaryKernel<IsFinite, decltype(type), bool>>(request);
  });
}

std::unique_ptr<Kernel> make_logical_not(const KernelRequest& request) {
  return std::make_unique<UnaryKernel<LogicalNot, bool, bool>>(request);
}

template <class T, class U>
class CastKernel final : public CpuKernel {
 public:
  explicit CastKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    const T* x = in(0).template data<T>();
    U* y = out(0).template data<U>();
    parallel_for(threads(), out(0).num_elements(), grain_for(2, sizeof(T) + sizeof(U)),
                 [=](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) y[i] = cast_element<U>(x[i]);
                 });
  }
  bool can_share(int, int) const override { return sizeof(T) == sizeof(U); }
};

std::unique_ptr<Kernel> make_cast(const KernelRequest& request) {
  return visit_dtype(request.inputs[0].dtype, [&](auto from) {
    return visit_dtype(request.outputs[0].dtype, [&](auto to) -> std::unique_ptr<Kernel> {
      return std::make_unique<CastKernel<decltype(from), decltype(to)>>(request);
    });
  });
}

}  // namespace

void register_unary(KernelRegistry& registry) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    registry.add(op, DeviceType::kCPU, kPlain, make);
  };
  add("Neg", make_number<Neg>);
  add("Abs", make_number<Abs>);
  add("Sign", make_number<Sign>);
  add("Square", make_number<Square>);
  add("Relu", make_number<Relu>);
  add("Exp", make_floating<Exp>);
  add("Expm1", make_floating<Expm1>);
  add("Log", make_floating<Log>);
  add("Log1p", make_floating<Log1p>);
  add("Sqrt", make_floating<Sqrt>);
  add("Rsqrt", make_floating<Rsqrt>);
  add("Reciprocal", make_floating<Reciprocal>);
  add("Sin", make_floating<Sin>);
  add("Cos", make_floating<Cos>);
  add("Tanh", make_floating<Tanh>);
  add("Sigmoid", make_floating<Sigmoid>);
  add("Erf", make_floating<Erf>);
  add("Softplus", make_floating<Softplus>);
  add("Floor", make_floating<Floor>);
  add("Ceil", make_floating<Ceil>);
  add("Round", make_floating<Round>);
  add("IsFinite", make_is_finite);
  add("LogicalNot", make_logical_not);
  add("Cast", make_cast);
}

}  // namespace cohort::cpu::plain
