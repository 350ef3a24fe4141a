#pragma once

#include "cohort/core/graph/op.h"

/// Inputs, variables and the state of the step.
/// "Placeholder": () -> shape (Graph::placeholder). "ReadVariable": () -> shape (Graph::read).
namespace cohort::ops {

enum class StepField { kStep, kReplicaId, kNumReplicas, kRows, kGlobalRows, kRowOffset };
/// Op "StepInfo": one number of core/runtime/step_state.h as an i64 scalar; attr "field" (i64).
Value step_info(StepField field);

/// Writes in the commit phase, after everything that could fail: reads in this step still see the
/// old value. Ops "Assign", "AssignAdd", "AssignSub": (value) -> (); attr "variables" = {id}. The
/// value's type must be the variable's. Throw InvalidArgument naming the variable.
Node* assign(const std::shared_ptr<VariableState>& variable, Value value);
Node* assign_add(const std::shared_ptr<VariableState>& variable, Value value);
Node* assign_sub(const std::shared_ptr<VariableState>& variable, Value value);

/// Op "CheckLess"-like guards are kernels' business; op "CheckFinite": (x...) -> bool scalar: all
/// elements finite.
Value all_finite(std::span<const Value> values);

void register_state(OpRegistry& ops);

}  // namespace cohort::ops
