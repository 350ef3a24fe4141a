#include "cohort/core/ops/random.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

Types infer_dropout(const InferContext& in) {
  want_floating(in, 0, "dropout");
  return {in.input(0)};
}

// The map is diagonal and its mask depends on the attributes only: one backward op serves every
// order of differentiation.
Gradients gradient_dropout(const Node& node, std::span<const Gradient> dy) {
  return {record("DropoutGrad", {dy[0].dense()}, node.attrs())};
}

template <Text kName>
Types infer_random(const InferContext& in) {
  const DType dtype = in.attrs().get<DType>("dtype");
  if (!is_floating(dtype))
    throw InvalidArgument("{}: got {}; want a floating dtype", kName.view(), dtype);
  return {{dtype, in.attrs().get<Shape>("shape")}};
}

bool batched(const Shape& shape) { return shape.rank() > 0 && shape[0].is_symbol(); }

/// The stream of a random node is its full name, which is known once it is recorded.
Value with_stream(Node* node) {
  node->mutable_attrs().set("stream", node->name());
  return node->output();
}

Value random(std::string_view op, std::string_view where, Attrs attrs, const Shape& shape,
             DType dtype, int64_t seed) {
  attrs.set("shape", shape);
  attrs.set("dtype", dtype);
  attrs.set("seed", seed);
  attrs.set("batched", batched(shape));
  return with_stream(require_graph(where).add(op, {}, std::move(attrs)));
}

}  // namespace

Value dropout(Value x, double rate, int64_t seed) {
  if (!(rate >= 0 && rate <= 1)) throw InvalidArgument("dropout: got rate {}; want 0 to 1", rate);
  if (rate == 0) return identity(x);
  if (rate == 1) {
    GraphScope scope(x.graph());
    return where(constant(Tensor::full(DType::kBool, {}, 0)), x, number_like(x, 0));
  }
  return with_stream(record_node(
      "Dropout", {x}, {{"rate", rate}, {"seed", seed}, {"batched", batched(x.shape())}}));
}

Value random_uniform(Shape shape, DType dtype, double low, double high, int64_t seed) {
  if (!(low <= high))
    throw InvalidArgument("random_uniform: got low {}, high {}; want low not above high", low,
                          high);
  return random("RandomUniform", "random_uniform", {{"low", low}, {"high", high}}, shape, dtype,
                seed);
}

Value random_normal(Shape shape, DType dtype, double mean, double stddev, int64_t seed) {
  if (!(stddev >= 0)) throw InvalidArgument("random_normal: got stddev {}; want 0 or more", stddev);
  return random("RandomNormal", "random_normal", {{"mean", mean}, {"stddev", stddev}}, shape, dtype,
                seed);
}

void register_random(OpRegistry& ops) {
  for (const char* name : {"Dropout", "DropoutGrad"})
    ops.add({.name = name,
             .num_inputs = 1,
             .infer = infer_dropout,
             .gradient = gradient_dropout,
             .stateful = true});
  ops.add({.name = "RandomUniform",
           .num_inputs = 0,
           .infer = infer_random<"random_uniform">,
           .gradient = no_gradient,
           .stateful = true});
  ops.add({.name = "RandomNormal",
           .num_inputs = 0,
           .infer = infer_random<"random_normal">,
           .gradient = no_gradient,
           .stateful = true});
}

}  // namespace cohort::ops
