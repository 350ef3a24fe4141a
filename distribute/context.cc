#include "cohort/distribute/context.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/state.h"

namespace cohort::distribute {
namespace {

thread_local int merge_depth = 0;

}  // namespace

internal::MergeScope::MergeScope() { ++merge_depth; }
internal::MergeScope::~MergeScope() { --merge_depth; }

ReplicaContext::ReplicaContext(Strategy strategy) : strategy_(std::move(strategy)) {}

bool in_replica_context() { return current_graph() != nullptr && merge_depth == 0; }

ReplicaContext get_replica_context() {
  if (!in_replica_context())
    throw FailedPrecondition(
        "get_replica_context: called in cross-replica context; want a call inside a function that "
        "Strategy::run or fit traces");
  return ReplicaContext(current_strategy());
}

void require_cross_replica_context(const char* where) {
  if (in_replica_context())
    throw FailedPrecondition(
        "{}: called in replica context; Method requires being in cross-replica context, use "
        "get_replica_context().merge_call()",
        where);
}

Value ReplicaContext::replica_id_in_sync_group() const {
  return ops::step_info(ops::StepField::kReplicaId);
}

Value ReplicaContext::all_reduce(ReduceOp op, Value value) const {
  return ops::cross_replica(value, op, ops::Role::kValue);
}

std::vector<Value> ReplicaContext::all_reduce(ReduceOp op, std::span<const Value> values) const {
  return ops::cross_replica(values, op, ops::Role::kValue);
}

Value reduce_to(ReduceOp op, Value per_replica) {
  require_cross_replica_context("reduce_to");
  return ops::cross_replica(per_replica, op, ops::Role::kValue);
}

std::vector<Value> batch_reduce_to(ReduceOp op, std::span<const Value> per_replica) {
  require_cross_replica_context("batch_reduce_to");
  return ops::cross_replica(per_replica, op, ops::Role::kValue);
}

}  // namespace cohort::distribute
