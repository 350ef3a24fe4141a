#pragma once

#include <span>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/distribute/strategy.h"

namespace cohort::distribute {

/// What a step sees of its replica while it is traced. Values are symbolic: one trace serves every
/// replica.
class ReplicaContext {
 public:
  /// An i64 scalar.
  Value replica_id_in_sync_group() const;
  int num_replicas_in_sync() const { return strategy_.num_replicas_in_sync(); }
  const Strategy& strategy() const { return strategy_; }

  /// Each value reduced over all replicas; the gradient flows through sums and means.
  Value all_reduce(ReduceOp op, Value value) const;
  std::vector<Value> all_reduce(ReduceOp op, std::span<const Value> values) const;

  /// Calls `merge(strategy, values…)` in cross-replica context: there reduce_to is allowed and
  /// all_reduce is not. Its result is the same on every replica when it comes from reduced values.
  template <class Merge, class... Values>
  auto merge_call(Merge&& merge, Values&&... values) const;

 private:
  friend ReplicaContext get_replica_context();
  explicit ReplicaContext(Strategy strategy);
  Strategy strategy_;
};

/// True inside a traced function (of Strategy::run, fit, or cohort::function), but not inside
/// merge_call.
bool in_replica_context();
/// Throws FailedPrecondition outside of a traced function.
ReplicaContext get_replica_context();
/// Throws FailedPrecondition, naming `where`, in replica context.
void require_cross_replica_context(const char* where);

/// In merge_call: the values of all replicas reduced to one.
Value reduce_to(ReduceOp op, Value per_replica);
std::vector<Value> batch_reduce_to(ReduceOp op, std::span<const Value> per_replica);

namespace internal {
/// Cross-replica context while it lives.
class MergeScope {
 public:
  MergeScope();
  ~MergeScope();
};
}  // namespace internal

template <class Merge, class... Values>
auto ReplicaContext::merge_call(Merge&& merge, Values&&... values) const {
  const internal::MergeScope scope;
  return merge(strategy_, values...);
}

}  // namespace cohort::distribute
