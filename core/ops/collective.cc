#include "cohort/core/ops/collective.h"

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/symbol.h"

namespace cohort::ops {
namespace {

Types infer_all_reduce(const InferContext& in) {
  want_inputs(in, 1, "all_reduce");
  const bool mean = static_cast<ReduceOp>(in.attrs().get<int64_t>("reduce_op")) == ReduceOp::kMean;
  Types types;
  for (int i = 0; i < in.num_inputs(); ++i) {
    want_numeric(in, i, "all_reduce");
    if (mean) want_floating(in, i, "all_reduce: a mean");
    types.push_back(in.input(i));
  }
  return types;
}

Types infer_all_gather(const InferContext& in) {
  const Shape &x = in.shape(0), &y = in.attrs().get<Shape>("shape");
  const int axis = static_cast<int>(in.attrs().get<int64_t>("axis"));
  bool fits = x.rank() == y.rank() && axis >= 0 && axis < x.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || x[i] == y[i];
  if (!fits)
    throw InvalidArgument("all_gather: got x {} for a result {}; want equal shapes but for axis {}",
                          x, y, axis);
  return {{in.dtype(0), y}};
}

Types infer_reduce_scatter(const InferContext& in) {
  want_inputs(in, 1, "reduce_scatter");
  for (int i = 0; i < in.num_inputs(); ++i) want_numeric(in, i, "reduce_scatter");
  want_same_dtypes(in, "reduce_scatter");
  return {{in.dtype(0), in.attrs().get<Shape>("shape")}};
}

Types infer_publish(const InferContext&) { return {}; }

}  // namespace

std::vector<Value> all_reduce(std::span<const Value> values, ReduceOp op, int64_t num_gradients) {
  if (values.empty()) throw InvalidArgument("all_reduce: got 0 values; want at least 1");
  Attrs attrs{{"reduce_op", static_cast<int64_t>(op)}};
  if (num_gradients > 0) attrs.set("num_gradients", num_gradients);
  Node* node =
      record_node("AllReduce", std::vector<Value>(values.begin(), values.end()), std::move(attrs));
  std::vector<Value> reduced;
  for (int i = 0; i < node->num_outputs(); ++i) reduced.push_back(node->output(i));
  return reduced;
}

Value all_reduce(Value value, ReduceOp op) {
  return all_reduce(std::span<const Value>(&value, 1), op).front();
}

Value all_gather(Value value, int64_t axis) {
  const int at = value.shape().axis(axis, "all_gather");
  Shape shape = value.shape();
  const Dim& size = shape[at];
  if (size.is_symbol() && (at != 0 || size != batch_dim()))
    throw InvalidArgument(
        "all_gather: got axis {} of {}; want a numbered axis, or the batch on axis 0", axis, shape);
  shape[at] = size.is_symbol() ? Dim(std::string(kGlobalRows))
                               : multiply(size, Dim(std::string(kNumReplicas)));
  return record("AllGather", {value},
                {{"axis", static_cast<int64_t>(at)}, {"shape", std::move(shape)}});
}

Value reduce_scatter(std::span<const Value> gradients, int64_t group, int64_t elements,
                     bool apart) {
  if (gradients.empty()) throw InvalidArgument("reduce_scatter: got 0 values; want at least 1");
  return record("ReduceScatter", {gradients.begin(), gradients.end()},
                {{"group", group}, {"shape", Shape{elements}}, {"apart", apart}});
}

Node* publish_parameters(Graph& graph, const std::vector<std::shared_ptr<VariableState>>& variables,
                         int64_t group) {
  std::vector<int64_t> ids;
  for (const auto& variable : variables) ids.push_back(graph.variable_id(variable));
  return graph.add("PublishParameters", {}, {{"group", group}, {"variables", std::move(ids)}});
}

void register_collective(OpRegistry& ops) {
  ops.add({.name = "ReduceScatter",
           .num_inputs = -1,
           .infer = infer_reduce_scatter,
           .kind = OpKind::kCollective,
           .exchange = Exchange::kScatter,
           .stateful = true,
           .in_place = true});
  ops.add({.name = "PublishParameters",
           .num_inputs = 0,
           .infer = infer_publish,
           .kind = OpKind::kUpdate,
           .exchange = Exchange::kPublish});
  ops.add({.name = "AllReduce",
           .num_inputs = -1,
           .infer = infer_all_reduce,
           .kind = OpKind::kCollective,
           .exchange = Exchange::kReduce,
           .stateful = true,
           .in_place = true});
  ops.add({.name = "AllGather",
           .num_inputs = 1,
           .infer = infer_all_gather,
           .kind = OpKind::kCollective,
           .exchange = Exchange::kGather,
           .stateful = true,
           .in_place = true});
}

}  // namespace cohort::ops
