#include "cohort/core/ops/indexing.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/common.h"

namespace cohort::ops {
namespace {

Types infer_gather(const InferContext& in) {
  want_index_dtype(in, 1, "gather");
  const Shape& params = in.shape(0);
  if (params.rank() < 1)
    throw InvalidArgument("gather: got params {}; want rows, [K, ...]", params);
  return {{in.dtype(0), in.shape(1) + params.slice(1)}};
}

Gradients gradient_gather(const Node& node, std::span<const Gradient> dy) {
  const Value params = node.input(0), indices = node.input(1);
  Slices slices;
  slices.indices = flatten(indices, 0, indices.rank());
  slices.values = flatten(dy[0].dense(), 0, indices.rank());
  slices.dense_shape = params.shape();
  return {slices, Gradient()};
}

Types infer_slices_to_dense(const InferContext& in) {
  want_index_dtype(in, 0, "slices_to_dense");
  const Shape &indices = in.shape(0), &values = in.shape(1);
  const Shape& dense = in.attrs().get<Shape>("shape");
  if (indices.rank() != 1 || values.rank() < 1 || values[0] != indices[0] ||
      dense.rank() != values.rank() || dense.slice(1) != values.slice(1))
    throw InvalidArgument(
        "slices_to_dense: got indices {}, values {} for shape {}; want indices [K], values "
        "[K, rows of the shape]",
        indices, values, dense);
  return {{in.dtype(1), dense}};
}

Gradients gradient_slices_to_dense(const Node& node, std::span<const Gradient> dy) {
  return {Gradient(), gather(dy[0].dense(), node.input(0))};
}

Types infer_one_hot(const InferContext& in) {
  if (!is_integer(in.dtype(0)))
    throw InvalidArgument("one_hot: got indices of {}; want an integer dtype", in.dtype(0));
  return {{in.attrs().get<DType>("dtype"), in.shape(0) + Shape{in.attrs().get<int64_t>("depth")}}};
}

Types infer_argmax(const InferContext& in) {
  want_numeric(in, 0, "argmax");
  const int axis = in.shape(0).axis(in.attrs().get<int64_t>("axis"), "argmax");
  if (in.shape(0)[axis] == 0)
    throw InvalidArgument("argmax: got axis {} of shape {}; want at least one element", axis,
                          in.shape(0));
  return {{DType::kI64, in.shape(0).slice(0, axis) + in.shape(0).slice(axis + 1)}};
}

}  // namespace

Value gather(Value params, Value indices) { return record("Gather", {params, indices}); }

Value slices_to_dense(const Slices& slices) {
  return record("SlicesToDense", {slices.indices, slices.values}, {{"shape", slices.dense_shape}});
}

Value one_hot(Value indices, int64_t depth, DType dtype, double on_value, double off_value) {
  if (depth < 0) throw InvalidArgument("one_hot: got depth {}; want 0 or more", depth);
  return record(
      "OneHot", {indices},
      {{"depth", depth}, {"dtype", dtype}, {"on_value", on_value}, {"off_value", off_value}});
}

Value argmax(Value x, int64_t axis) {
  return record("ArgMax", {x}, {{"axis", static_cast<int64_t>(x.shape().axis(axis, "argmax"))}});
}

void register_indexing(OpRegistry& ops) {
  ops.add({.name = "Gather", .num_inputs = 2, .infer = infer_gather, .gradient = gradient_gather});
  ops.add({.name = "SlicesToDense",
           .num_inputs = 2,
           .infer = infer_slices_to_dense,
           .gradient = gradient_slices_to_dense});
  ops.add({.name = "OneHot", .num_inputs = 1, .infer = infer_one_hot, .gradient = no_gradient});
  ops.add({.name = "ArgMax", .num_inputs = 1, .infer = infer_argmax, .gradient = no_gradient});
}

}  // namespace cohort::ops
