// Products of 16 bits by the kernels of f32: the inputs are widened, sums are those of f32, and the
// result is rounded once.
#include <algorithm>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/plain/register.h"

namespace cohort::cpu::plain {
namespace {

class WideKernel final : public CpuKernel {
 public:
  explicit WideKernel(const KernelRequest& request)
      : CpuKernel(request),
        graph_(request.node.graph().ops()),
        places_(request.inputs.size() + request.outputs.size()) {
    std::vector<Operand> inputs, outputs;
    std::vector<Value> values;
    for (const Operand& input : request.inputs) {
      inputs.push_back(wide(input));
      values.push_back(graph_.placeholder("input", {DType::kF32, input.shape}));
      add(request, cast(input, DType::kF32), {&input, 1}, {&inputs.back(), 1});
    }
    for (const Operand& output : request.outputs) outputs.push_back(wide(output));
    add(request, *graph_.add(request.node.op_name(), values, request.node.attrs()), inputs,
        outputs);
    for (size_t i = 0; i < outputs.size(); ++i)
      add(request, cast(outputs[i], request.outputs[i].dtype), {&outputs[i], 1},
          {&request.outputs[i], 1});
  }

  size_t workspace_bytes() const override { return wide_bytes_ + kernels_bytes_; }

  void run() override {
    auto* next = workspace();
    for (auto& [place, bytes] : places_) {
      place = next;
      next += bytes;
    }
    workspace_of_kernels_ = next;
    for (const auto& kernel : kernels_) kernel->run();
  }

 private:
  /// A place in the workspace for the same in f32.
  Operand wide(const Operand& narrow) {
    auto& [place, bytes] = places_[num_places_++];
    bytes = (static_cast<size_t>(narrow.num_elements()) * sizeof(float) + 255) / 256 * 256;
    wide_bytes_ += bytes;
    return {DType::kF32, narrow.shape, &place, nullptr};
  }

  const Node& cast(const Operand& from, DType to) {
    return *graph_.add("Cast", {graph_.placeholder("narrow", {from.dtype, from.shape})},
                       {{"dtype", to}});
  }

  void add(const KernelRequest& request, const Node& node, std::span<const Operand> inputs,
           std::span<const Operand> outputs) {
    kernels_.push_back(request.kernels->make({.node = node,
                                              .inputs = inputs,
                                              .outputs = outputs,
                                              .variables = {},
                                              .workspace = &workspace_of_kernels_,
                                              .step = request.step,
                                              .device = request.device}));
    kernels_bytes_ = std::max(kernels_bytes_, kernels_.back()->workspace_bytes());
  }

  Graph graph_;
  std::vector<std::pair<void*, size_t>> places_;  ///< of what is wide, and its bytes
  size_t num_places_ = 0;
  size_t wide_bytes_ = 0, kernels_bytes_ = 0;
  void* workspace_of_kernels_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

std::unique_ptr<Kernel> make_wide(const KernelRequest& request) {
  const auto is_narrow = [](const Operand& operand) {
    return is_floating(operand.dtype) && size_of(operand.dtype) == 2;
  };
  if (!std::all_of(request.inputs.begin(), request.inputs.end(), is_narrow) ||
      !std::all_of(request.outputs.begin(), request.outputs.end(), is_narrow))
    return nullptr;
  return std::make_unique<WideKernel>(request);
}

}  // namespace

void register_wide(KernelRegistry& registry) {
  for (const char* op : {"MatMul", "FusedMatMul", "Conv2D", "FusedConv2D", "Conv2DBackwardInput",
                         "Conv2DBackwardKernel"})
    registry.add(op, DeviceType::kCPU, "wide", make_wide);
}

}  // namespace cohort::cpu::plain
