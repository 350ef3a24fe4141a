#include "cohort/core/ops/state.h"

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

Types infer_source(const InferContext& in) {
  return {{in.attrs().get<DType>("dtype"), in.attrs().get<Shape>("shape")}};
}

Types infer_step_info(const InferContext&) { return {{DType::kI64, {}}}; }

// The builder compares the value with its variable, which the rule does not see.
Types infer_assign(const InferContext&) { return {}; }

Types infer_all_finite(const InferContext& in) {
  want_inputs(in, 1, "all_finite");
  for (int i = 0; i < in.num_inputs(); ++i) want_floating(in, i, "all_finite");
  return {{DType::kBool, {}}};
}

/// Per-replica values written to a variable that is the same everywhere become one first. A
/// variable without aggregation, or with a copy of each replica's own (ON_READ), takes them as they
/// are.
Value aggregated(const VariableState& variable, Value value) {
  const VariableOptions& options = variable.options();
  if (options.synchronization == VariableSynchronization::kOnRead) return value;
  switch (options.aggregation) {
    case VariableAggregation::kNone:
      return value;
    case VariableAggregation::kSum:
      return cross_replica(value, ReduceOp::kSum, Role::kValue);
    case VariableAggregation::kMean:
      return cross_replica(value, ReduceOp::kMean, Role::kValue);
    case VariableAggregation::kOnlyFirstReplica:
      break;
  }
  const Value first = equal(step_info(StepField::kReplicaId), scalar(0, DType::kI64));
  return cross_replica(where(first, value, zeros_like(value)), ReduceOp::kSum, Role::kValue);
}

Node* record_assign(std::string_view op, std::string_view where,
                    const std::shared_ptr<VariableState>& variable, Value value) {
  if (!variable) throw InvalidArgument("{}: got no variable; want one", where);
  if (value.dtype() != variable->dtype() || value.shape() != variable->shape())
    throw InvalidArgument("{}: got a value of {} {} for variable {}; want {} {}", where,
                          value.dtype(), value.shape(), variable->name(), variable->dtype(),
                          variable->shape());
  const int64_t id = value.graph().variable_id(variable);
  return record_node(op, {aggregated(*variable, value)}, {{"variables", std::vector<int64_t>{id}}});
}

}  // namespace

Value step_info(StepField field) {
  return record_source("StepInfo", {{"field", static_cast<int64_t>(field)}}, "step_info");
}

Node* assign(const std::shared_ptr<VariableState>& variable, Value value) {
  return record_assign("Assign", "assign", variable, value);
}
Node* assign_add(const std::shared_ptr<VariableState>& variable, Value value) {
  return record_assign("AssignAdd", "assign_add", variable, value);
}
Node* assign_sub(const std::shared_ptr<VariableState>& variable, Value value) {
  return record_assign("AssignSub", "assign_sub", variable, value);
}

Value all_finite(std::span<const Value> values) {
  if (values.empty()) throw InvalidArgument("all_finite: got 0 values; want at least 1");
  return record("CheckFinite", std::vector<Value>(values.begin(), values.end()));
}

void register_state(OpRegistry& ops) {
  ops.add({.name = "Placeholder",
           .num_inputs = 0,
           .infer = infer_source,
           .gradient = no_gradient,
           .kind = OpKind::kSource,
           .source = Source::kInput,
           .stateful = true,
           .differs_by_replica = true});
  ops.add({.name = "ReadVariable",
           .num_inputs = 0,
           .infer = infer_source,
           .gradient = no_gradient,
           .kind = OpKind::kSource,
           .source = Source::kVariable,
           .stateful = true});
  ops.add({.name = "StepInfo",
           .num_inputs = 0,
           .infer = infer_step_info,
           .gradient = no_gradient,
           .stateful = true,
           .differs_by_replica = true});
  for (const char* name : {"Assign", "AssignAdd", "AssignSub"})
    ops.add({.name = name, .num_inputs = 1, .infer = infer_assign, .kind = OpKind::kUpdate});
  ops.add({.name = "CheckFinite",
           .num_inputs = -1,
           .infer = infer_all_finite,
           .gradient = no_gradient});
}

}  // namespace cohort::ops
