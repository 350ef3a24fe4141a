#include "cohort/core/ops/array.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/symbol.h"

// Ops that move elements without computing.
namespace cohort::ops {
namespace {

Types infer_reshape(const InferContext& in) {
  const Shape& to = in.attrs().get<Shape>("shape");
  if (num_elements(in.shape(0)) != num_elements(to))
    throw InvalidArgument("reshape: got {} for a value of shape {}; want as many elements ({})", to,
                          in.shape(0), num_elements(in.shape(0)));
  return {{in.dtype(0), to}};
}

Gradients gradient_reshape(const Node& node, std::span<const Gradient> dy) {
  return {reshape(dy[0].dense(), node.input(0).shape())};
}

Types infer_transpose(const InferContext& in) {
  const auto& permutation = in.attrs().get<std::vector<int64_t>>("permutation");
  const Shape& x = in.shape(0);
  std::vector<int64_t> sorted = permutation;
  std::sort(sorted.begin(), sorted.end());
  bool valid = static_cast<int>(sorted.size()) == x.rank();
  for (size_t i = 0; valid && i < sorted.size(); ++i) valid = sorted[i] == static_cast<int64_t>(i);
  if (!valid)
    throw InvalidArgument("transpose: got permutation {} for shape {}; want each axis once",
                          Shape(std::vector<Dim>(permutation.begin(), permutation.end())), x);
  Shape y;
  for (int64_t axis : permutation) y.push_back(x[static_cast<int>(axis)]);
  return {{in.dtype(0), y}};
}

Gradients gradient_transpose(const Node& node, std::span<const Gradient> dy) {
  const auto& permutation = node.attrs().get<std::vector<int64_t>>("permutation");
  std::vector<int64_t> inverse(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i)
    inverse[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return {transpose(dy[0].dense(), inverse)};
}

bool keeps_order(const Node& transpose) {
  const auto& permutation = transpose.attrs().get<std::vector<int64_t>>("permutation");
  return std::is_sorted(permutation.begin(), permutation.end());
}

Types infer_concat(const InferContext& in) {
  want_inputs(in, 1, "concat");
  want_same_dtypes(in, "concat");
  const int axis = static_cast<int>(in.attrs().get<int64_t>("axis"));
  Shape y = in.shape(0);
  if (axis < 0 || axis >= y.rank())
    throw InvalidArgument("concat: got axis {} for shape {}; want an axis of it", axis, y);
  for (int i = 1; i < in.num_inputs(); ++i) {
    const Shape& x = in.shape(i);
    bool fits = x.rank() == y.rank();
    for (int d = 0; fits && d < y.rank(); ++d) fits = d == axis || x[d] == y[d];
    if (!fits)
      throw InvalidArgument("concat: got shapes {} and {} on axis {}; want equal shapes but for it",
                            in.shape(0), x, axis);
    y[axis] = add(y[axis], x[axis]);
  }
  return {{in.dtype(0), y}};
}

Gradients gradient_concat(const Node& node, std::span<const Gradient> dy) {
  const int64_t axis = node.attrs().get<int64_t>("axis");
  const Value d = dy[0].dense();
  if (node.inputs().size() == 1) return {d};
  Gradients gradients;
  int64_t begin = 0;
  for (const Value& x : node.inputs()) {
    const Dim& size = x.shape()[static_cast<int>(axis)];
    if (size.is_symbol())
      throw Unimplemented(
          "concat: got a gradient along axis {} of {}, whose size is not known while the graph is "
          "built; want a numbered axis",
          axis, x.shape());
    gradients.push_back(slice_axis(d, axis, begin, begin + size.number()));
    begin += size.number();
  }
  return gradients;
}

Types infer_broadcast_to(const InferContext& in) {
  const Shape& to = in.attrs().get<Shape>("shape");
  if (broadcast(in.shape(0), to, "broadcast_to") != to)
    throw InvalidArgument(
        "broadcast_to: got {} for a value of shape {}; want a shape to which it "
        "broadcasts",
        to, in.shape(0));
  return {{in.dtype(0), to}};
}

Gradients gradient_broadcast_to(const Node& node, std::span<const Gradient> dy) {
  return {sum_to_shape(dy[0].dense(), node.input(0).shape())};
}

Types infer_num_rows(const InferContext& in) {
  if (in.shape(0).rank() == 0)
    throw InvalidArgument("num_rows: got a scalar; want a value with rows");
  return {{DType::kI64, {}}};
}

}  // namespace

Value reshape(Value x, Shape shape) {
  if (x.shape() == shape) return x;
  return record("Reshape", {x}, {{"shape", std::move(shape)}});
}

Value flatten(Value x, int begin, int end) {
  const int rank = x.rank();
  if (begin < 0 || begin > end || end > rank)
    throw InvalidArgument("flatten: got axes {} to {} of shape {}; want 0 <= begin <= end <= {}",
                          begin, end, x.shape(), rank);
  Shape shape = x.shape().slice(0, begin);
  shape.push_back(num_elements(x.shape(), begin, end));
  return reshape(x, shape + x.shape().slice(end));
}

Value transpose(Value x, std::vector<int64_t> permutation) {
  return record("Transpose", {x}, {{"permutation", std::move(permutation)}});
}

Value concat(std::span<const Value> values, int64_t axis) {
  if (values.empty()) throw InvalidArgument("concat: got 0 values; want at least 1");
  axis = values.front().shape().axis(axis, "concat");
  return record("Concat", std::vector<Value>(values.begin(), values.end()), {{"axis", axis}});
}

Value concat(const std::vector<Value>& values, int64_t axis) {
  return concat(std::span<const Value>(values), axis);
}

Value expand_dims(Value x, int64_t axis) {
  const int rank = x.rank();
  if (axis < -rank - 1 || axis > rank)
    throw InvalidArgument("expand_dims: got axis {} for shape {}; want {} to {}", axis, x.shape(),
                          -rank - 1, rank);
  const int at = static_cast<int>(axis < 0 ? axis + rank + 1 : axis);
  return reshape(x, x.shape().slice(0, at) + Shape{1} + x.shape().slice(at));
}

Value squeeze(Value x, int64_t axis) {
  const int at = x.shape().axis(axis, "squeeze");
  if (x.shape()[at] != 1)
    throw InvalidArgument("squeeze: got axis {} of shape {}; want a dimension of 1", axis,
                          x.shape());
  return reshape(x, x.shape().slice(0, at) + x.shape().slice(at + 1));
}

Value broadcast_to(Value x, Shape shape) {
  if (x.shape() == shape) return x;
  return record("BroadcastTo", {x}, {{"shape", std::move(shape)}});
}

Value num_rows(Value x) { return record("Shape0", {x}); }

void register_array(OpRegistry& ops) {
  register_slice(ops);
  ops.add({.name = "Reshape",
           .num_inputs = 1,
           .infer = infer_reshape,
           .gradient = gradient_reshape,
           .kind = OpKind::kAlias,
           .is_identity = keeps_type});
  ops.add({.name = "Transpose",
           .num_inputs = 1,
           .infer = infer_transpose,
           .gradient = gradient_transpose,
           .is_identity = keeps_order});
  ops.add({.name = "Concat", .num_inputs = -1, .infer = infer_concat, .gradient = gradient_concat});
  ops.add({.name = "BroadcastTo",
           .num_inputs = 1,
           .infer = infer_broadcast_to,
           .gradient = gradient_broadcast_to,
           .is_identity = keeps_type});
  ops.add({.name = "Shape0", .num_inputs = 1, .infer = infer_num_rows, .gradient = no_gradient});
}

}  // namespace cohort::ops
