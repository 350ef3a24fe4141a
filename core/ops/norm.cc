#include "cohort/core/ops/norm.h"

#include "cohort/core/ops/common.h"
#include "cohort/core/ops/math.h"

namespace cohort::ops {
namespace {

/// Inputs [first, last) must be [C], for x [..., C].
void want_channels(const InferContext& in, const Shape& x, int first, std::string_view where) {
  want_floating(in, 0, where);
  const bool narrow = in.dtype(0) == DType::kF16 || in.dtype(0) == DType::kBF16;
  for (int i = 1; i < in.num_inputs(); ++i)
    if (in.dtype(i) != (i < first ? in.dtype(0) : in.dtype(first)) ||
        (i >= first && in.dtype(i) != in.dtype(0) && !(narrow && in.dtype(i) == DType::kF32)))
      throw InvalidArgument(
          "{}: got input {} of {} beside x of {}; want equal dtypes, or parameters of float32 "
          "beside a 16-bit x",
          where, i, in.dtype(i), in.dtype(0));
  if (x.rank() < 2 || x[x.rank() - 1].is_symbol())
    throw InvalidArgument("{}: got x {}; want [..., C] with a number for C", where, x);
  for (int i = first; i < in.num_inputs(); ++i)
    if (in.shape(i) != Shape{x[x.rank() - 1]})
      throw InvalidArgument("{}: got x {} and parameters {}; want [{}]", where, x, in.shape(i),
                            x[x.rank() - 1]);
}

Types infer_batch_norm(const InferContext& in) {
  const Shape& x = in.shape(0);
  want_channels(in, x, 1, "batch_norm");
  const TensorType statistic{in.dtype(1), {x[x.rank() - 1]}};
  return {in.input(0), statistic, statistic};
}

Types infer_batch_norm_grad(const InferContext& in) {
  const Shape& x = in.shape(1);
  want_channels(in, x, 2, "batch_norm_grad");
  if (in.shape(0) != x)
    throw InvalidArgument("batch_norm_grad: got dy {}, x {}; want equal shapes", in.shape(0), x);
  const TensorType parameter{in.dtype(2), {x[x.rank() - 1]}};
  return {{in.dtype(0), x}, parameter, parameter};
}

Gradients gradient_batch_norm(const Node& node, std::span<const Gradient> dy) {
  if (!dy[1].absent() || !dy[2].absent())
    throw Unimplemented(
        "batch_norm: got a gradient of the batch's mean or variance; want gradients of y only "
        "(compute statistics with reduce_mean to differentiate them)");
  if (dy[0].absent()) return {};
  Node* grad = record_node(
      "BatchNormGrad",
      {dy[0].dense(), node.input(0), node.input(1), output_of(node, 1), output_of(node, 2)},
      node.attrs());
  return {grad->output(0), grad->output(1), grad->output(2)};
}

}  // namespace

BatchNormOutputs batch_norm(Value x, Value gamma, Value beta, double epsilon) {
  Node* node = record_node("BatchNorm", {x, gamma, beta}, {{"epsilon", epsilon}});
  return {node->output(0), node->output(1), node->output(2)};
}

Value batch_norm_inference(Value x, Value gamma, Value beta, Value mean, Value variance,
                           double epsilon) {
  const Value scale = rsqrt(variance + epsilon) * gamma;
  return (x - mean) * scale + beta;
}

void register_norm(OpRegistry& ops) {
  ops.add({.name = "BatchNorm",
           .num_inputs = 3,
           .infer = infer_batch_norm,
           .gradient = gradient_batch_norm});
  ops.add({.name = "BatchNormGrad", .num_inputs = 5, .infer = infer_batch_norm_grad});
}

}  // namespace cohort::ops
