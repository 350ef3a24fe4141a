#include "cohort/core/ops/common.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"

namespace cohort::ops {

Node* record_node(std::string_view op, std::vector<Value> inputs, Attrs attrs) {
  COHORT_CHECK(!inputs.empty());
  Graph& graph = inputs.front().graph();
  return graph.add(op, std::move(inputs), std::move(attrs));
}

Value record(std::string_view op, std::vector<Value> inputs, Attrs attrs) {
  return record_node(op, std::move(inputs), std::move(attrs))->output();
}

Value record_source(std::string_view op, Attrs attrs, std::string_view where) {
  return require_graph(where).add(op, {}, std::move(attrs))->output();
}

Value output_of(const Node& node, int i) {
  return Value(node.graph().nodes()[static_cast<size_t>(node.id())].get(), i);
}

Value number_like(const Value& like, double value) {
  GraphScope scope(like.graph());
  return scalar(value, like.dtype());
}

void want_floating(const InferContext& in, int i, std::string_view where) {
  if (!is_floating(in.dtype(i)))
    throw InvalidArgument("{}: got {} {}; want a floating dtype", where, in.dtype(i), in.shape(i));
}

void want_numeric(const InferContext& in, int i, std::string_view where) {
  if (!is_floating(in.dtype(i)) && !is_integer(in.dtype(i)))
    throw InvalidArgument("{}: got {} {}; want a floating or integer dtype", where, in.dtype(i),
                          in.shape(i));
}

void want_dtype(const InferContext& in, int i, DType dtype, std::string_view where) {
  if (in.dtype(i) != dtype)
    throw InvalidArgument("{}: got {} {}; want {}", where, in.dtype(i), in.shape(i), dtype);
}

void want_same_dtypes(const InferContext& in, std::string_view where) {
  for (int i = 1; i < in.num_inputs(); ++i)
    if (in.dtype(i) != in.dtype(0))
      throw InvalidArgument("{}: got {} {} and {} {}; want equal dtypes (cast one)", where,
                            in.dtype(0), in.shape(0), in.dtype(i), in.shape(i));
}

void want_index_dtype(const InferContext& in, int i, std::string_view where) {
  if (in.dtype(i) != DType::kI32 && in.dtype(i) != DType::kI64)
    throw InvalidArgument("{}: got indices of {} {}; want int32 or int64", where, in.dtype(i),
                          in.shape(i));
}

void want_inputs(const InferContext& in, int at_least, std::string_view where) {
  if (in.num_inputs() < at_least)
    throw InvalidArgument("{}: got {} values; want at least {}", where, in.num_inputs(), at_least);
}

Types same_as_first(const InferContext& in) { return {in.input(0)}; }

bool keeps_type(const Node& node) { return node.input(0).type() == node.output_types()[0]; }

Gradients no_gradient(const Node&, std::span<const Gradient>) { return {}; }

}  // namespace cohort::ops
