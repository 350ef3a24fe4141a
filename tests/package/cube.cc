#include "cube.h"

#include <vector>

namespace outside {
namespace {

using cohort::DType;
using cohort::Gradient;
using cohort::InferContext;
using cohort::Kernel;
using cohort::KernelRequest;
using cohort::Operand;
using cohort::TensorType;

constexpr const char* kOp = "outside.Cube";

// y has the type of x.
std::vector<TensorType> infer(const InferContext& in) {
  if (in.dtype(0) != DType::kF32)
    throw cohort::InvalidArgument("cube: got {}; want f32", in.dtype(0));
  return {in.input(0)};
}

// dx = 3 x^2 dy.
cohort::Gradients gradient(const cohort::Node& node, std::span<const Gradient> dy) {
  const cohort::Value x = node.input(0);
  return {3.0 * x * x * dy[0].dense()};
}

class CubeKernel final : public Kernel {
 public:
  explicit CubeKernel(const KernelRequest& request)
      : x_(request.inputs[0]), y_(request.outputs[0]) {}

  void run() override {
    const float* x = x_.data<float>();
    float* y = y_.data<float>();
    for (int64_t i = 0; i < x_.num_elements(); ++i) y[i] = x[i] * x[i] * x[i];
  }
  bool can_share(int, int) const override { return true; }

 private:
  Operand x_, y_;
};

std::unique_ptr<Kernel> make(const KernelRequest& request) {
  return std::make_unique<CubeKernel>(request);
}

}  // namespace

cohort::Value cube(cohort::Value x) { return x.graph().add(kOp, {x})->output(); }

void register_cube(cohort::Runtime& runtime) {
  runtime.ops().add({.name = kOp, .num_inputs = 1, .infer = infer, .gradient = gradient});
  runtime.kernels().add(kOp, cohort::DeviceType::kCPU, "plain", make);
}

}  // namespace outside
