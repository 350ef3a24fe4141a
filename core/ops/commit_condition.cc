#include "cohort/core/ops/commit_condition.h"

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

Types infer_commit_if(const InferContext& in) {
  if (in.dtype(0) != DType::kBool || in.shape(0).rank() != 0)
    throw InvalidArgument("commit_if: got {} {}; want bool []", in.dtype(0), in.shape(0));
  return {in.input(0)};
}

const std::vector<int64_t>& variables_of(const Node& node) {
  return node.attrs().get<std::vector<int64_t>>("variables");
}

/// An update of groups, or of rows: (…, apply).
bool takes_apply(const Node& node) {
  if (node.inputs().empty()) return false;
  const TensorType& last = node.inputs().back().type();
  return (node.op().group_inputs || node.op_name() == "RowsUpdate") && last.dtype == DType::kBool &&
         last.shape.rank() == 0;
}

}  // namespace

void commit_if(Value condition, const Variables& always) {
  std::vector<int64_t> ids;
  for (const auto& variable : always) ids.push_back(condition.graph().variable_id(variable));
  record("CommitIf", {condition}, {{"variables", ids}});
}

bool is_commit_condition(const Node& node) { return node.op_name() == "CommitIf"; }

std::vector<Value> inputs_where(Value condition, const Node& node, std::vector<Value> inputs) {
  if (node.op_name() == "Assign") {
    const auto id = static_cast<size_t>(variables_of(node).front());
    inputs[0] = where(condition, inputs[0], inputs[0].graph().read(node.graph().variables()[id]));
  } else if (node.op_name() == "AssignAdd" || node.op_name() == "AssignSub") {
    inputs[0] = where(condition, inputs[0], zeros_like(inputs[0]));
  } else if (takes_apply(node)) {
    inputs.back() = logical_and(inputs.back(), condition);
  } else {
    throw InvalidArgument(
        "{}: got an update by op {} in a step that may be skipped; want assignments, and updates "
        "that take a bool [] \"apply\" last",
        node.name(), node.op_name());
  }
  return inputs;
}

void register_commit_condition(OpRegistry& ops) {
  ops.add({.name = "CommitIf",
           .num_inputs = 1,
           .infer = infer_commit_if,
           .gradient = no_gradient,
           .kind = OpKind::kAlias});
}

}  // namespace cohort::ops
