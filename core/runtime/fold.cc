#include <algorithm>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort {
namespace {

constexpr size_t kLargestFolded = 1 << 20;  // bytes: a folded constant takes memory for ever

const Tensor* constant_of(Value value) {
  const Node& node = *value.node();
  return node.op_name() == "Constant" ? &node.attrs().get<Tensor>("value") : nullptr;
}

/// Every element of a constant or fill is `number`.
bool is_all(Value value, double number) {
  if (value.node()->op_name() == "Fill")
    return value.node()->attrs().get<double>("value") == number;
  const Tensor* tensor = constant_of(value);
  if (!tensor || tensor->num_elements() != 1 || !is_floating(tensor->dtype())) return false;
  return tensor->item<double>() == number;
}

/// The value that `node` equals without computing anything; undefined where there is none.
Value simpler(const Node& node, const std::vector<Value>& inputs) {
  const std::string& op = node.op_name();
  if (op != "Mul" && op != "Add" && op != "Div" && op != "Sub" && op != "Reshape" && op != "Cast" &&
      op != "Transpose" && op != "BroadcastTo")
    return {};
  const TensorType& type = node.output_types()[0];
  const auto keeps = [&](size_t kept, size_t other, double neutral) {
    return inputs[kept].type() == type && is_all(inputs[other], neutral);
  };
  if (op == "Mul") {
    if (keeps(0, 1, 1)) return inputs[0];
    if (keeps(1, 0, 1)) return inputs[1];
  } else if (op == "Add") {
    if (keeps(0, 1, 0)) return inputs[0];
    if (keeps(1, 0, 0)) return inputs[1];
  } else if (op == "Div" || op == "Sub") {
    if (keeps(0, 1, op == "Div" ? 1 : 0)) return inputs[0];
  } else if (op == "Reshape" || op == "Cast" || op == "BroadcastTo") {
    if (inputs[0].type() == type) return inputs[0];
  } else {
    const auto& permutation = node.attrs().get<std::vector<int64_t>>("permutation");
    if (std::is_sorted(permutation.begin(), permutation.end())) return inputs[0];
  }
  return {};
}

bool can_fold(const Node& node, const std::vector<Value>& inputs, Runtime& runtime) {
  const OpDef& op = node.op();
  if (op.stateful || op.commit || inputs.empty() || node.num_outputs() != 1 || is_alias(node))
    return false;
  if (!std::all_of(inputs.begin(), inputs.end(), [](Value v) { return constant_of(v) != nullptr; }))
    return false;
  const TensorType& type = node.output_types()[0];
  const size_t bytes = static_cast<size_t>(type.shape.num_elements()) * size_of(type.dtype);
  return bytes <= kLargestFolded && !runtime.devices(DeviceType::kCPU).empty() &&
         runtime.kernels().has(op.name, DeviceType::kCPU);
}

Operand operand_on(const Tensor& tensor, void* const* slot) {
  return {tensor.dtype(), tensor.shape(), slot, nullptr};
}

/// Runs the node's CPU kernel once, on the constants.
Tensor evaluate(Runtime& runtime, const Node& node, const std::vector<Value>& inputs) {
  std::vector<Tensor> arguments;
  for (const Value& input : inputs) arguments.push_back(constant_of(input)->contiguous());
  Tensor result(node.output_types()[0].dtype, node.output_types()[0].shape);
  std::vector<void*> slots;
  for (Tensor& argument : arguments) slots.push_back(argument.raw());
  slots.push_back(result.raw());
  std::vector<Operand> operands;
  for (size_t i = 0; i < arguments.size(); ++i)
    operands.push_back(operand_on(arguments[i], &slots[i]));
  const Operand output = operand_on(result, &slots.back());

  const StepState step_state;
  const StepState* step = &step_state;
  void* workspace = nullptr;
  Device& cpu = *runtime.devices(DeviceType::kCPU).front();
  const auto kernel = runtime.kernels().make({.node = node,
                                              .inputs = operands,
                                              .outputs = std::span(&output, 1),
                                              .variables = {},
                                              .workspace = &workspace,
                                              .step = &step,
                                              .device = cpu});
  const std::shared_ptr<void> scratch = cpu.allocate(kernel->workspace_bytes());
  workspace = scratch.get();
  kernel->run();
  return result;
}

}  // namespace

GraphFunction fold_constants(Runtime& runtime, const GraphFunction& function) {
  Rewriter rewriter(*function.graph, function.fetches);
  GraphScope graph_scope(rewriter.graph());
  for (const Node* node : rewriter.nodes()) {
    const std::vector<Value> inputs = rewriter.mapped_inputs(*node);
    if (const Value value = simpler(*node, inputs); value.defined()) {
      rewriter.replace(Value(const_cast<Node*>(node), 0), value);
    } else if (can_fold(*node, inputs, runtime)) {
      const Value constant = ops::constant(evaluate(runtime, *node, inputs));
      constant.node()->set_device(node->device());
      rewriter.replace(Value(const_cast<Node*>(node), 0), constant);
    } else {
      rewriter.copy(*node);
    }
  }
  return rewriter.finish();
}

}  // namespace cohort
