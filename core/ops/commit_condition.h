#pragma once

#include "cohort/core/graph/op.h"
#include "cohort/core/ops/update_body.h"

/// Steps that may turn out to be skipped: gradients are not finite, say. What such a step would
/// commit stays as it was, all of it, whoever recorded it and in whatever order.
namespace cohort::ops {

/// Says that the step being traced commits only where `condition` is true: bool [], the same on all
/// replicas. The variables of `always` are written either way. Several conditions: where all hold.
/// Op "CommitIf": (bool []) -> the same; attr "variables" are the ids of `always`.
void commit_if(Value condition, const Variables& always);

bool is_commit_condition(const Node& node);

/// What the inputs of the update `node` become, so that it writes only where `condition` is true.
/// `inputs` are of the graph in which it is to stand. InvalidArgument for an update that the rule
/// is not known of: others than assignments and those that take "apply" for their last input.
std::vector<Value> inputs_where(Value condition, const Node& node, std::vector<Value> inputs);

void register_commit_condition(OpRegistry& ops);

}  // namespace cohort::ops
