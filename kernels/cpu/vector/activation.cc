#include "cohort/kernels/cpu/vector/vector_kernel.h"

namespace cohort::cpu::vector {
namespace {

constexpr int64_t kFlopsEach = 16;  // about what an exponential costs

template <class T, Unary kF>
class UnaryKernel final : public CpuKernel {
 public:
  explicit UnaryKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    const T* x = in(0).template data<T>();
    T* y = out(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(), grain_for(kFlopsEach, 2 * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   simd().of<T>().unary(kF, x + begin, y + begin, end - begin);
                 });
  }
  bool can_share(int, int) const override { return true; }
};

// dx = dy f'(x) from y = f(x).
template <class T, Unary kF>
class UnaryGradKernel final : public CpuKernel {
 public:
  explicit UnaryGradKernel(const KernelRequest& request) : CpuKernel(request) {}
  void run() override {
    const T* dy = in(0).template data<T>();
    const T* y = in(1).template data<T>();
    T* dx = out(0).template data<T>();
    parallel_for(threads(), out(0).num_elements(), grain_for(4, 3 * sizeof(T)),
                 [=](int64_t begin, int64_t end) {
                   simd().of<T>().unary_grad(kF, dy + begin, nullptr, y + begin, dx + begin,
                                             end - begin);
                 });
  }
  bool can_share(int, int input) const override { return input == 0; }
};

template <Unary kF>
std::unique_ptr<Kernel> make_unary(const KernelRequest& request) {
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<UnaryKernel<float, kF>>(request);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<UnaryKernel<double, kF>>(request);
  return nullptr;
}

template <Unary kF>
std::unique_ptr<Kernel> make_grad(const KernelRequest& request) {
  if (request.inputs[0].shape != request.inputs[1].shape) return nullptr;
  if (request.outputs[0].dtype == DType::kF32)
    return std::make_unique<UnaryGradKernel<float, kF>>(request);
  if (request.outputs[0].dtype == DType::kF64)
    return std::make_unique<UnaryGradKernel<double, kF>>(request);
  return nullptr;
}

}  // namespace

void register_activation(KernelRegistry& registry) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    registry.add(op, DeviceType::kCPU, kVector, make);
  };
  add("Relu", make_unary<Unary::kRelu>);
  add("Sigmoid", make_unary<Unary::kSigmoid>);
  add("Tanh", make_unary<Unary::kTanh>);
  add("Exp", make_unary<Unary::kExp>);
  add("Expm1", make_unary<Unary::kExpm1>);
  add("Log", make_unary<Unary::kLog>);
  add("Softplus", make_unary<Unary::kSoftplus>);
  add("Erf", make_unary<Unary::kErf>);
  add("ReluGrad", make_grad<Unary::kRelu>);
  add("SigmoidGrad", make_grad<Unary::kSigmoid>);
  add("TanhGrad", make_grad<Unary::kTanh>);
}

}  // namespace cohort::cpu::vector
