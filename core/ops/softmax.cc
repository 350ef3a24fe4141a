#include "cohort/core/ops/softmax.h"

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/common.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"

namespace cohort::ops {
namespace {

template <Text kName>
Types infer_softmax(const InferContext& in) {
  want_floating(in, 0, kName.view());
  if (in.shape(0).rank() < 1)
    throw InvalidArgument("{}: got a scalar; want [..., K]", kName.view());
  return {in.input(0)};
}

Value sum_last(Value x) { return reduce_sum(x, {.axis = {-1}, .keepdims = true}); }

/// The gradient through p = softmax(x): p (g - sum(g p)).
Value through_softmax(Value p, Value g) { return p * (g - sum_last(g * p)); }

Gradients gradient_softmax(const Node& node, std::span<const Gradient> dy) {
  return {through_softmax(output_of(node), dy[0].dense())};
}

// dx = dy - softmax(x) sum(dy).
Gradients gradient_log_softmax(const Node& node, std::span<const Gradient> dy) {
  const Value d = dy[0].dense();
  return {d - exp(output_of(node)) * sum_last(d)};
}

Types infer_sparse(const InferContext& in) {
  want_floating(in, 0, "sparse_softmax_cross_entropy");
  const Shape &logits = in.shape(0), &labels = in.shape(1);
  if (logits.rank() < 1 || labels != logits.slice(0, logits.rank() - 1))
    throw InvalidArgument(
        "sparse_softmax_cross_entropy: got logits {}, labels {}; want logits [..., K], labels "
        "[...]",
        logits, labels);
  if (in.dtype(1) != DType::kU8) want_index_dtype(in, 1, "sparse_softmax_cross_entropy");
  return {{in.dtype(0), labels}, in.input(0)};
}

Types infer_dense(const InferContext& in) {
  want_floating(in, 0, "softmax_cross_entropy");
  want_same_dtypes(in, "softmax_cross_entropy");
  const Shape &logits = in.shape(0), &labels = in.shape(1);
  if (logits.rank() < 1 || labels != logits)
    throw InvalidArgument("softmax_cross_entropy: got logits {}, labels {}; want both [..., K]",
                          logits, labels);
  return {{in.dtype(0), logits.slice(0, logits.rank() - 1)}, in.input(0)};
}

/// The sum of those that are there.
Gradient total(const Gradient& a, const Gradient& b) {
  if (a.absent()) return b;
  if (b.absent()) return a;
  return add(a.dense(), b.dense());
}

Value rows(const Gradient& dloss) { return expand_dims(dloss.dense(), -1); }

// Through the loss: dlogits = dloss backprop. Through backprop = softmax(logits) - onehot(labels),
// which appears in gradients of gradients: that of softmax.
Gradients gradient_sparse(const Node& node, std::span<const Gradient> dy) {
  Gradient by_loss, by_backprop;
  if (!dy[0].absent()) by_loss = rows(dy[0]) * output_of(node, 1);
  if (!dy[1].absent()) by_backprop = through_softmax(softmax(node.input(0)), dy[1].dense());
  return {total(by_loss, by_backprop), Gradient()};
}

// With L = sum of a row's labels: loss = -sum(labels log p), backprop = L p - labels, p =
// softmax(logits). With g the gradient of backprop: dlogits gets L through_softmax(p, g), dlabels
// gets sum(g p) - g.
Gradients gradient_dense(const Node& node, std::span<const Gradient> dy) {
  const Value logits = node.input(0), labels = node.input(1);
  Gradient logits_by_loss, logits_by_backprop, labels_by_loss, labels_by_backprop;
  if (!dy[0].absent()) {
    logits_by_loss = rows(dy[0]) * output_of(node, 1);
    labels_by_loss = -(rows(dy[0]) * log_softmax(logits));
  }
  if (!dy[1].absent()) {
    const Value p = softmax(logits), g = dy[1].dense();
    logits_by_backprop = sum_last(labels) * through_softmax(p, g);
    labels_by_backprop = sum_last(g * p) - g;
  }
  return {total(logits_by_loss, logits_by_backprop), total(labels_by_loss, labels_by_backprop)};
}

}  // namespace

Value softmax(Value x) { return record("Softmax", {x}); }
Value log_softmax(Value x) { return record("LogSoftmax", {x}); }

Value sparse_softmax_cross_entropy(Value logits, Value labels) {
  return record("SparseSoftmaxCrossEntropy", {logits, labels});
}

Value softmax_cross_entropy(Value logits, Value labels) {
  return record("SoftmaxCrossEntropy", {logits, labels});
}

// z log(1 + e^-x) + (1 - z) log(1 + e^x): the same function without differences of large numbers,
// and smooth at x = 0.
Value sigmoid_cross_entropy(Value logits, Value labels) {
  return labels * softplus(-logits) + (1 - labels) * softplus(logits);
}

void register_softmax(OpRegistry& ops) {
  ops.add({.name = "Softmax",
           .num_inputs = 1,
           .infer = infer_softmax<"softmax">,
           .gradient = gradient_softmax});
  ops.add({.name = "LogSoftmax",
           .num_inputs = 1,
           .infer = infer_softmax<"log_softmax">,
           .gradient = gradient_log_softmax});
  ops.add({.name = "SparseSoftmaxCrossEntropy",
           .num_inputs = 2,
           .infer = infer_sparse,
           .gradient = gradient_sparse});
  ops.add({.name = "SoftmaxCrossEntropy",
           .num_inputs = 2,
           .infer = infer_dense,
           .gradient = gradient_dense});
}

}  // namespace cohort::ops
