#include "cohort/core/ops/cross_replica.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/slices.h"

namespace cohort::ops {
namespace {

ReduceOp reduce_op_of(const Attrs& attrs) {
  return static_cast<ReduceOp>(attrs.get<int64_t>("reduce_op"));
}

/// Slices lie at inputs i and i + 1, their values' table having `rows` rows.
void infer_slices(const InferContext& in, int i, Types& types) {
  want_index_dtype(in, i, "sum_over_replicas");
  want_floating(in, i + 1, "sum_over_replicas");
  const Shape &indices = in.shape(i), &values = in.shape(i + 1);
  if (indices.rank() != 1 || values.rank() < 1 || values[0] != indices[0])
    throw InvalidArgument("sum_over_replicas: got indices {}, values {}; want [K] and [K, ...]",
                          indices, values);
  const Dim rows{std::string(kReducedRows)};
  Shape reduced = values;
  reduced[0] = rows;
  types.push_back({in.dtype(i), Shape{rows}});
  types.push_back({in.dtype(i + 1), reduced});
}

Types infer_cross_replica(const InferContext& in) {
  want_inputs(in, 1, "all_reduce");
  const bool mean = reduce_op_of(in.attrs()) == ReduceOp::kMean;
  const auto& table_rows = in.attrs().get<std::vector<int64_t>>("table_rows");
  Types types;
  while (static_cast<int>(types.size()) < in.num_inputs()) {
    const int i = static_cast<int>(types.size());
    if (i + 1 < in.num_inputs() && table_rows[static_cast<size_t>(i) + 1] > 0) {
      infer_slices(in, i, types);
      continue;
    }
    want_numeric(in, i, "all_reduce");
    if (mean) want_floating(in, i, "all_reduce: a mean");
    types.push_back(in.input(i));
  }
  return types;
}

std::vector<Value> record_terms(std::vector<Value> inputs, ReduceOp op, std::vector<Role> roles,
                                std::vector<int64_t> table_rows) {
  Attrs attrs{{"reduce_op", static_cast<int64_t>(op)}, {"table_rows", std::move(table_rows)}};
  attrs.set("roles", std::vector<int64_t>());
  auto& numbers = std::get<std::vector<int64_t>>(*attrs.find("roles"));
  for (const Role role : roles) numbers.push_back(static_cast<int64_t>(role));
  Node* node = record_node("CrossReplica", std::move(inputs), std::move(attrs));
  std::vector<Value> reduced;
  for (int i = 0; i < node->num_outputs(); ++i) reduced.push_back(node->output(i));
  return reduced;
}

// Every replica computes with the reduced value, so each contributes to the gradient of each input:
// sums stay sums, means stay means. One node reduces all gradients that are there.
Gradients gradient_cross_replica(const Node& node, std::span<const Gradient> dy) {
  const ReduceOp op = reduce_op_of(node.attrs());
  if (op != ReduceOp::kSum && op != ReduceOp::kMean)
    throw Unimplemented(
        "all_reduce: got a gradient through a maximum or minimum over replicas; "
        "want sum or mean");
  std::vector<Value> present;
  std::vector<Role> roles;
  for (const CrossReplicaTerm& term : cross_replica_terms(node)) {
    const Gradient& d = dy[static_cast<size_t>(term.input)];
    if (term.is_slices())
      throw Unimplemented("all_reduce: got a gradient through slices; want a dense value");
    if (d.absent()) continue;
    present.push_back(d.dense());
    roles.push_back(term.role);
  }
  const size_t count = present.size();
  const std::vector<Value> reduced =
      record_terms(std::move(present), op, std::move(roles), std::vector<int64_t>(count));
  Gradients gradients(dy.size());
  for (size_t i = 0, next = 0; i < dy.size(); ++i)
    if (!dy[i].absent()) gradients[i] = reduced[next++];
  return gradients;
}

Types infer_share(const InferContext& in) {
  want_floating(in, 0, "replica_share");
  return same_as_first(in);
}

Gradients gradient_share(const Node&, std::span<const Gradient> dy) {
  return {replica_share(dy[0].dense())};
}

}  // namespace

std::vector<Value> cross_replica(std::span<const Value> values, ReduceOp op, Role role) {
  if (values.empty()) throw InvalidArgument("all_reduce: got 0 values; want at least 1");
  return record_terms({values.begin(), values.end()}, op, std::vector<Role>(values.size(), role),
                      std::vector<int64_t>(values.size()));
}

Value cross_replica(Value value, ReduceOp op, Role role) {
  return cross_replica(std::span<const Value>(&value, 1), op, role).front();
}

void sum_over_replicas(std::vector<Gradient>& gradients, std::vector<Value>& metrics) {
  std::vector<Value> inputs;
  std::vector<Role> roles;
  std::vector<int64_t> table_rows;
  const auto add = [&](Value value, Role role, int64_t rows = 0) {
    inputs.push_back(value);
    roles.push_back(role);
    table_rows.push_back(rows);
  };
  for (Gradient& gradient : gradients) {
    if (gradient.absent()) continue;
    if (gradient.is_slices() && gradient.slices().dense_shape[0].number() > kLargestTable)
      gradient = gradient.dense();
    if (gradient.is_slices()) {
      add(gradient.slices().indices, Role::kGradient);
      add(gradient.slices().values, Role::kGradient, gradient.slices().dense_shape[0].number());
    } else {
      add(gradient.dense(), Role::kGradient);
    }
  }
  for (const Value& metric : metrics) add(metric, Role::kMetric);
  if (inputs.empty()) return;
  const std::vector<Value> sums =
      record_terms(std::move(inputs), ReduceOp::kSum, std::move(roles), std::move(table_rows));
  auto next = sums.begin();
  for (Gradient& gradient : gradients) {
    if (gradient.absent()) continue;
    if (gradient.is_slices()) {
      const Value indices = *next++, values = *next++;
      gradient = Slices{indices, values, gradient.slices().dense_shape};
    } else {
      gradient = *next++;
    }
  }
  std::copy(next, sums.end(), metrics.begin());
}

std::vector<CrossReplicaTerm> cross_replica_terms(const Node& node) {
  const auto& roles = node.attrs().get<std::vector<int64_t>>("roles");
  const auto& table_rows = node.attrs().get<std::vector<int64_t>>("table_rows");
  std::vector<CrossReplicaTerm> terms;
  for (size_t i = 0; i < roles.size(); ++i) {
    if (table_rows[i] == 0) {
      terms.push_back({static_cast<Role>(roles[i]), static_cast<int>(i), {}});
      continue;
    }
    terms.back().table = node.input(static_cast<int>(i)).shape();  // its indices came before
    terms.back().table[0] = Dim(table_rows[i]);
  }
  return terms;
}

Value replica_share(Value x) { return record("ReplicaShare", {x}); }

void register_cross_replica(OpRegistry& ops) {
  ops.add({.name = "CrossReplica",
           .num_inputs = -1,
           .infer = infer_cross_replica,
           .gradient = gradient_cross_replica,
           .kind = OpKind::kCollective,
           .exchange = Exchange::kPlaced,
           .stateful = true});
  ops.add({.name = "ReplicaShare",
           .num_inputs = 1,
           .infer = infer_share,
           .gradient = gradient_share,
           .kind = OpKind::kCollective,
           .exchange = Exchange::kPlaced});
}

}  // namespace cohort::ops
