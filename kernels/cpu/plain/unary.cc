#include "cohort/kernels/cpu/plain/elementwise.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

template <class Fn>
std::unique_ptr<Kernel> make_floating_unary(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<UnaryKernel>(request, unary_loop<Fn, decltype(type)>);
  });
}

template <class Fn>
std::unique_ptr<Kernel> make_number_unary(const KernelRequest& request) {
  return for_numbers(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<UnaryKernel>(request, unary_loop<Fn, decltype(type)>);
  });
}

std::unique_ptr<Kernel> make_is_finite(const KernelRequest& request) {
  return for_floating(request.inputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<UnaryKernel>(request, unary_loop<IsFinite, decltype(type), bool>);
  });
}

std::unique_ptr<Kernel> make_logical_not(const KernelRequest& request) {
  return std::make_unique<UnaryKernel>(request, unary_loop<LogicalNot, bool>);
}

template <class T, class U>
void cast_loop(const void* x, void* y, int64_t n) {
  const T* from = static_cast<const T*>(x);
  U* to = static_cast<U*>(y);
  for (int64_t i = 0; i < n; ++i) to[i] = cast_element<U>(from[i]);
}

std::unique_ptr<Kernel> make_cast(const KernelRequest& request) {
  return visit_dtype(request.inputs[0].dtype, [&](auto from) {
    return visit_dtype(request.outputs[0].dtype, [&](auto to) -> std::unique_ptr<Kernel> {
      return std::make_unique<UnaryKernel>(request, cast_loop<decltype(from), decltype(to)>);
    });
  });
}

}  // namespace

void register_unary(KernelRegistry& registry) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    registry.add(op, DeviceType::kCPU, kPlain, make);
  };
  add("Neg", make_number_unary<Neg>);
  add("Abs", make_number_unary<Abs>);
  add("Sign", make_number_unary<Sign>);
  add("Square", make_number_unary<Square>);
  add("Relu", make_number_unary<Relu>);
  add("Exp", make_floating_unary<Exp>);
  add("Expm1", make_floating_unary<Expm1>);
  add("Log", make_floating_unary<Log>);
  add("Log1p", make_floating_unary<Log1p>);
  add("Sqrt", make_floating_unary<Sqrt>);
  add("Rsqrt", make_floating_unary<Rsqrt>);
  add("Reciprocal", make_floating_unary<Reciprocal>);
  add("Sin", make_floating_unary<Sin>);
  add("Cos", make_floating_unary<Cos>);
  add("Tanh", make_floating_unary<Tanh>);
  add("Sigmoid", make_floating_unary<Sigmoid>);
  add("Erf", make_floating_unary<Erf>);
  add("Softplus", make_floating_unary<Softplus>);
  add("Floor", make_floating_unary<Floor>);
  add("Ceil", make_floating_unary<Ceil>);
  add("Round", make_floating_unary<Round>);
  add("IsFinite", make_is_finite);
  add("LogicalNot", make_logical_not);
  add("Cast", make_cast);
}

}  // namespace cohort::cpu::plain
