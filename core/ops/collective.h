#pragma once

#include "cohort/core/graph/op.h"
#include "cohort/core/reduce_op.h"

/// Communication between replicas on the mesh axis "data": what a strategy places where a trace
/// says what is to be known of all replicas (core/ops/cross_replica.h). The strategy gives the
/// communicator at compile time. With one replica they are the identity.
namespace cohort::ops {

/// Op "AllReduce": inputs of any floating or, but for means, integer dtypes -> the same types, each
/// reduced over all replicas. Attr "reduce_op" (i64). The compiler groups sums into buckets.
/// The first `num_gradients` are gradients, whose f32 sums a communicator may round for the
/// network: attr "num_gradients" (i64), where there are any. It has no gradient: it is placed when
/// gradients are there.
std::vector<Value> all_reduce(std::span<const Value> values, ReduceOp op,
                              int64_t num_gradients = 0);
Value all_reduce(Value value, ReduceOp op);
/// Op "AllGather": x concatenated over replicas along `axis`, in replica order; rows may differ
/// between replicas only when axis 0 is the batch. Attrs "axis", "shape": of the result, whose size
/// on the axis is the symbol kGlobalRows, or K * kNumReplicas for a number K. Who compiles binds
/// both.
inline constexpr std::string_view kNumReplicas = "num_replicas";
inline constexpr std::string_view kGlobalRows = "global_N";
Value all_gather(Value value, int64_t axis);

/// Op "ReduceScatter": gradients of the variables of parameter group "group" (i64), in the order of
/// its segments -> this rank's range of their sums over replicas, flat, of `elements` elements
/// (attr "shape"). Attr "apart" (bool): the range lies apart, and what else the gradients take is
/// free for those of other groups when they have been scattered.
Value reduce_scatter(std::span<const Value> gradients, int64_t group, int64_t elements,
                     bool apart = false);
/// Op "PublishParameters": ends a step's commits by giving every rank all parameters of group
/// "group". Attr "variables": they.
Node* publish_parameters(Graph& graph, const std::vector<std::shared_ptr<VariableState>>& variables,
                         int64_t group);

void register_collective(OpRegistry& ops);

}  // namespace cohort::ops
