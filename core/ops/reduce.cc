#include "cohort/core/ops/reduce.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

bool contains(const std::vector<int64_t>& axes, int axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

Shape reduced_shape(const Shape& x, const std::vector<int64_t>& axes, bool keepdims) {
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    if (!contains(axes, i))
      shape.push_back(x[i]);
    else if (keepdims)
      shape.push_back(1);
  }
  return shape;
}

Shape infer_shape(const InferContext& in) {
  return reduced_shape(in.shape(0), in.attrs().get<std::vector<int64_t>>("axis"),
                       in.attrs().get<bool>("keepdims"));
}

template <Text kName>
Types infer_numeric_reduce(const InferContext& in) {
  want_numeric(in, 0, kName.view());
  return {{in.dtype(0), infer_shape(in)}};
}

Types infer_mean(const InferContext& in) {
  want_floating(in, 0, "reduce_mean");
  return {{in.dtype(0), infer_shape(in)}};
}

template <Text kName>
Types infer_bool(const InferContext& in) {
  want_dtype(in, 0, DType::kBool, kName.view());
  return {{DType::kBool, infer_shape(in)}};
}

Value reduce(std::string_view op, std::string_view where, Value x, const ReduceOptions& options) {
  std::vector<int64_t> axes;
  for (int64_t axis : options.axis) axes.push_back(x.shape().axis(axis, where));
  if (axes.empty())
    for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    throw InvalidArgument("{}: got an axis of shape {} twice; want each once", where, x.shape());
  return record(op, {x}, {{"axis", axes}, {"keepdims", options.keepdims}});
}

/// One reduction's input, result and gradient, with the reduced axes kept as ones so that they
/// broadcast against x.
struct ReduceParts {
  Value x, y, dy;
  std::vector<int64_t> axes;
  ReduceParts(const Node& node, std::span<const Gradient> gradient)
      : x(node.input(0)), axes(node.attrs().get<std::vector<int64_t>>("axis")) {
    const Shape kept = reduced_shape(x.shape(), axes, true);
    y = reshape(output_of(node), kept);
    dy = reshape(gradient[0].dense(), kept);
  }
  ReduceOptions keeping() const { return {.axis = axes, .keepdims = true}; }
};

/// How many elements become one, as a scalar of x's dtype: known at run time where a reduced
/// dimension is a symbol.
Value count(const Value& x, const std::vector<int64_t>& axes) {
  Shape reduced;
  for (int64_t axis : axes) reduced.push_back(x.shape()[static_cast<int>(axis)]);
  if (reduced.is_concrete()) return number_like(x, static_cast<double>(reduced.num_elements()));
  if (axes.front() == 0 && reduced.slice(1).is_concrete()) {
    const Value rows = cast(num_rows(x), x.dtype());
    const int64_t others = reduced.slice(1).num_elements();
    return others == 1 ? rows : rows * static_cast<double>(others);
  }
  GraphScope scope(x.graph());
  return cast(reduce_sum(fill(reduced, DType::kI64, 1)), x.dtype());
}

Gradients gradient_sum(const Node& node, std::span<const Gradient> dy) {
  const ReduceParts p(node, dy);
  return {broadcast_to(p.dy, p.x.shape())};
}

Gradients gradient_mean(const Node& node, std::span<const Gradient> dy) {
  const ReduceParts p(node, dy);
  return {broadcast_to(p.dy / count(p.x, p.axes), p.x.shape())};
}

// The elements that equal the extremum share its gradient.
Gradients gradient_extremum(const Node& node, std::span<const Gradient> dy) {
  const ReduceParts p(node, dy);
  const Value chosen = equal(p.x, p.y);
  const Value ties = reduce_sum(cast(chosen, p.x.dtype()), p.keeping());
  return {where(chosen, p.dy / ties, number_like(p.x, 0))};
}

// dx_i = dy times the product of the other elements. With p the product of those that are not 0,
// that is p / x_i without zeros, p at the only zero, and 0 otherwise. (Second order: exact where no
// element is 0.)
Gradients gradient_prod(const Node& node, std::span<const Gradient> dy) {
  const ReduceParts p(node, dy);
  const Value zero = number_like(p.x, 0), one = number_like(p.x, 1);
  const Value is_zero = equal(p.x, zero);
  const Value safe = where(is_zero, one, p.x);
  const Value product = reduce_prod(safe, p.keeping());
  const Value zeros = reduce_sum(cast(is_zero, p.x.dtype()), p.keeping());
  const Value others = where(is_zero, where(equal(zeros, one), product, zero),
                             where(equal(zeros, zero), product / safe, zero));
  return {p.dy * others};
}

}  // namespace

Value reduce_sum(Value x, ReduceOptions options) {
  return reduce("ReduceSum", "reduce_sum", x, options);
}
Value reduce_mean(Value x, ReduceOptions options) {
  return reduce("ReduceMean", "reduce_mean", x, options);
}
Value reduce_max(Value x, ReduceOptions options) {
  return reduce("ReduceMax", "reduce_max", x, options);
}
Value reduce_min(Value x, ReduceOptions options) {
  return reduce("ReduceMin", "reduce_min", x, options);
}
Value reduce_prod(Value x, ReduceOptions options) {
  return reduce("ReduceProd", "reduce_prod", x, options);
}
Value reduce_any(Value x, ReduceOptions options) {
  return reduce("ReduceAny", "reduce_any", x, options);
}
Value reduce_all(Value x, ReduceOptions options) {
  return reduce("ReduceAll", "reduce_all", x, options);
}

Value sum_to_shape(Value x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int extra = x.rank() - shape.rank();
  std::vector<int64_t> axes;
  for (int i = 0; i < x.rank(); ++i) {
    const bool same = i >= extra && shape[i - extra] == x.shape()[i];
    if (extra < 0 || (i >= extra && !same && shape[i - extra] != 1))
      throw InvalidArgument("sum_to_shape: got {}; want a shape to which {} broadcasts", x.shape(),
                            shape);
    if (!same) axes.push_back(i);
  }
  return reshape(axes.empty() ? x : reduce_sum(x, {.axis = axes}), shape);
}

void register_reduce(OpRegistry& ops) {
  const auto add = [&](std::string name, auto infer, auto gradient) {
    ops.add({.name = std::move(name), .num_inputs = 1, .infer = infer, .gradient = gradient});
  };
  add("ReduceSum", infer_numeric_reduce<"reduce_sum">, gradient_sum);
  add("ReduceMean", infer_mean, gradient_mean);
  add("ReduceMax", infer_numeric_reduce<"reduce_max">, gradient_extremum);
  add("ReduceMin", infer_numeric_reduce<"reduce_min">, gradient_extremum);
  add("ReduceProd", infer_numeric_reduce<"reduce_prod">, gradient_prod);
  add("ReduceAny", infer_bool<"reduce_any">, no_gradient);
  add("ReduceAll", infer_bool<"reduce_all">, no_gradient);
}

}  // namespace cohort::ops
