#pragma once

#include <cstring>
#include <future>
#include <memory>
#include <string_view>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/register.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/kernel.h"
#include "cohort/kernels/cpu/register.h"

namespace cohort::testing {

/// One application of an op to numbers.
struct KernelCase {
  std::string op;
  std::vector<Tensor> inputs;
  Attrs attrs = {};
  /// Values of the variables of a commit op, in its order.
  std::vector<Tensor> variables = {};
  int threads = 1;
  StepState step = {};
  /// Inputs and variables begin at this element of their memory.
  int64_t first_element = 0;
};

/// A kernel bound to a case, without a compiler or an executor: a graph of one node, memory for
/// every operand. Outputs and workspace begin as NaN bytes. Binds the calling thread to the device,
/// which flushes denormals: tests make it on_own_thread().
class BoundKernel {
 public:
  /// `implementation`: its name in the registry; "" takes the first that accepts.
  /// Check valid() where the implementation may be absent or refuse the case.
  BoundKernel(const KernelCase& test, std::string_view implementation)
      : inputs_(copies(test.inputs, test.first_element)),
        variables_(copies(test.variables, test.first_element)),
        step_(test.step),
        device_(make_cpu_device(0, test.threads)),
        graph_(op_registry()) {
    device_->bind_thread();
    Node* node = make_node(test);
    for (Tensor& input : inputs_) input_operands_.push_back(operand(input));
    for (Tensor& variable : variables_) variable_operands_.push_back(operand(variable));
    for (const TensorType& type : node->output_types()) {
      outputs_.emplace_back(type.dtype, type.shape);
      std::memset(outputs_.back().raw(), 0xff, outputs_.back().num_bytes());
    }
    for (Tensor& output : outputs_) output_operands_.push_back(operand(output));
    const KernelRequest request{.node = *node,
                                .inputs = input_operands_,
                                .outputs = output_operands_,
                                .variables = variable_operands_,
                                .workspace = &workspace_slot_,
                                .step = &step_slot_,
                                .device = *device_};
    kernel_ =
        implementation.empty() ? kernels().make(request) : kernels().make(request, implementation);
    if (!kernel_) return;
    const auto bytes = static_cast<int64_t>(kernel_->workspace_bytes());
    workspace_ = Tensor(DType::kU8, {bytes});
    std::memset(workspace_.raw(), 0xff, static_cast<size_t>(bytes));
    workspace_slot_ = workspace_.raw();
  }

  BoundKernel(const BoundKernel&) = delete;
  BoundKernel& operator=(const BoundKernel&) = delete;

  bool valid() const { return kernel_ != nullptr; }
  void run() {
    ++version_;
    kernel_->run();
  }
  /// Lets the inputs count as unchanged variables, so that derived copies of them may be kept.
  void run_with_same_weights() { kernel_->run(); }
  std::vector<Tensor>& inputs() { return inputs_; }
  std::vector<Tensor>& outputs() { return outputs_; }
  std::vector<Tensor>& variables() { return variables_; }
  StepState& step() { return step_; }

  static const KernelRegistry& kernels() {
    static const KernelRegistry registry = [] {
      KernelRegistry r;
      cpu::register_cpu_kernels(r);
      return r;
    }();
    return registry;
  }
  static const OpRegistry& op_registry() {
    static const OpRegistry registry = [] {
      OpRegistry r;
      ops::register_ops(r);
      return r;
    }();
    return registry;
  }

 private:
  static std::vector<Tensor> copies(const std::vector<Tensor>& tensors, int64_t first_element) {
    std::vector<Tensor> result;
    for (const Tensor& tensor : tensors) {
      const int64_t n = tensor.num_elements();
      const Tensor wide(tensor.dtype(), Shape{first_element + n});
      result.push_back(
          wide.slice(0, first_element, first_element + n).reshape(tensor.shape().numbers()));
      if (n > 0) std::memcpy(result.back().raw(), tensor.contiguous().raw(), tensor.num_bytes());
    }
    return result;
  }

  Node* make_node(const KernelCase& test) {
    std::vector<Value> values;
    for (const Tensor& input : test.inputs)
      values.push_back(graph_.placeholder("x", {input.dtype(), input.shape()}));
    Attrs attrs = test.attrs;
    if (!test.variables.empty()) {
      std::vector<int64_t> ids;
      for (const Tensor& variable : test.variables)
        ids.push_back(graph_.variable_id(
            std::make_shared<VariableState>(variable.clone(), VariableOptions{.name = "v"})));
      attrs.set("variables", ids);
    }
    return graph_.add(test.op, values, attrs);
  }

  Operand operand(Tensor& tensor) {
    slots_.push_back(std::make_unique<void*>(tensor.raw()));
    return {tensor.dtype(), tensor.shape(), slots_.back().get(), &version_};
  }

  std::vector<Tensor> inputs_, outputs_, variables_;
  std::vector<Operand> input_operands_, output_operands_, variable_operands_;
  std::vector<std::unique_ptr<void*>> slots_;
  uint64_t version_ = 1;
  StepState step_;
  const StepState* step_slot_ = &step_;
  Tensor workspace_;
  void* workspace_slot_ = nullptr;
  std::unique_ptr<Device> device_;
  Graph graph_;
  std::unique_ptr<Kernel> kernel_;
};

struct KernelResult {
  std::vector<Tensor> outputs;
  std::vector<Tensor> variables;
};

/// Calls fn() on a thread that ends with it; returns or throws what it does.
template <class Fn>
auto on_own_thread(Fn&& fn) {
  return std::async(std::launch::async, std::forward<Fn>(fn)).get();
}

/// Throws Internal when the implementation does not take the case.
inline KernelResult run_kernel(const KernelCase& test, std::string_view implementation = "plain") {
  return on_own_thread([&]() -> KernelResult {
    BoundKernel kernel(test, implementation);
    if (!kernel.valid())
      throw Internal("{}: implementation {} does not take the case", test.op, implementation);
    kernel.run();
    return {kernel.outputs(), kernel.variables()};
  });
}

}  // namespace cohort::testing
