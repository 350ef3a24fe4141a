#pragma once

#include "cohort/core/graph/op.h"
#include "cohort/core/reduce_op.h"

/// What a traced step says of the replicas of its strategy: that values are those of all replicas
/// together, and what for. How they become so is the strategy's business, which puts other ops in
/// the place of these (distribute/placement/); no kernel knows them. With one replica they are the
/// identity.
namespace cohort::ops {

/// What a value over all replicas is for.
enum class Role {
  kValue,       ///< what the program asked for
  kGradient,    ///< on its way to an update: its sum may be rounded for the network
  kStatistic,   ///< of activations or their gradients, inside a layer
  kMetric,      ///< added to a metric's state
  kNormaliser,  ///< what a loss is divided by
};

/// Op "CrossReplica": inputs of any floating or, but for means, integer dtypes -> the same types,
/// each reduced over all replicas. Attrs "reduce_op" (i64), "roles" (i64 of each input). Gradient:
/// the same of dy (sum, mean). What one node holds is reduced together.
std::vector<Value> cross_replica(std::span<const Value> values, ReduceOp op, Role role);
Value cross_replica(Value value, ReduceOp op, Role role);

/// The sums over all replicas of a step's gradients and of what it adds to metrics, in one node.
/// Slices stay slices: how many rows they have then, in which order and whether an index occurs
/// twice is not known before the step is placed. Absent gradients stay absent. Without any value
/// nothing is recorded.
///
/// In the node slices are two inputs, indices [K] and values [K, …], and so are they among its
/// outputs, with kReducedRows for K; attr "table_rows" (i64 of each input) says at the values how
/// many rows their table has, and 0 elsewhere.
void sum_over_replicas(std::vector<Gradient>& gradients, std::vector<Value>& metrics);
inline constexpr std::string_view kReducedRows = "reduced_rows";

/// One value of a CrossReplica node, for who places it.
struct CrossReplicaTerm {
  Role role = Role::kValue;
  int input = 0;  ///< its first: indices, where it is slices
  Shape table;    ///< of slices; rank 0 else
  bool is_slices() const { return table.rank() > 0; }
};
std::vector<CrossReplicaTerm> cross_replica_terms(const Node& node);

/// Op "ReplicaShare": of a floating x that is the same on all replicas -> this replica's share, so
/// that the shares of all replicas add up to x. Gradient: the share of dy.
Value replica_share(Value x);

void register_cross_replica(OpRegistry& ops);

}  // namespace cohort::ops
