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
  return node.op().source == Source::kConstant ? &node.attrs().get<Tensor>("value") : nullptr;
}

/// Whether every element of `value` is `number`.
bool is_all(Value value, double number) {
  const Node& node = *value.node();
  return node.op().uniform_value && node.op().uniform_value(node) == number;
}

/// The value that `node` equals without computing anything; undefined where there is none.
Value simpler(const Node& node, const std::vector<Value>& inputs) {
  const OpDef& op = node.op();
  if (op.is_identity && op.is_identity(node)) return inputs[0];
  const auto keeps = [&](size_t kept, size_t other, std::optional<double> neutral) {
    return neutral && inputs[kept].type() == node.output_types()[0] &&
           is_all(inputs[other], *neutral);
  };
  if (keeps(0, 1, op.neutral_right)) return inputs[0];
  if (keeps(1, 0, op.neutral_left)) return inputs[1];
  return {};
}

bool can_fold(const Node& node, const std::vector<Value>& inputs, Runtime& runtime) {
  const OpDef& op = node.op();
  if (op.kind != OpKind::kCompute || inputs.empty() || node.num_outputs() != 1) return false;
  if (!std::all_of(inputs.begin(), inputs.end(), [](Value v) { return constant_of(v) != nullptr; }))
    return false;
  if (!is_pure(node)) return false;
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

GraphFunction fold(Runtime& runtime, const Graph& graph, std::span<const Value> fetches) {
  Rewriter rewriter(graph, fetches, [&](const Node&, const Graph& nested, auto results) {
    return fold(runtime, nested, results);
  });
  GraphScope graph_scope(rewriter.graph());
  for (const Node* node : rewriter.nodes()) {
    const std::vector<Value> inputs = rewriter.mapped_inputs(*node);
    if (const Value value = simpler(*node, inputs); value.defined()) {
      rewriter.replace(Value(const_cast<Node*>(node), 0), value);
    } else if (can_fold(*node, inputs, runtime)) {
      const Value constant = ops::constant(evaluate(runtime, *node, inputs));
      constant.node()->set_device(node->device());
      constant.node()->set_stage(node->stage());
      rewriter.replace(Value(const_cast<Node*>(node), 0), constant);
    } else {
      rewriter.copy(*node);
    }
  }
  return rewriter.finish();
}

}  // namespace

GraphFunction fold_constants(Runtime& runtime, const GraphFunction& function) {
  return fold(runtime, *function.graph, function.fetches);
}

}  // namespace cohort
