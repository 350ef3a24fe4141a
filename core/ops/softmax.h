#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

/// Along the last axis. Ops "Softmax", "LogSoftmax".
Value softmax(Value x);
Value log_softmax(Value x);

/// Per-row loss -log softmax(logits)[label]: logits [..., K], labels [...] i32/i64/u8 -> [...]. A
/// label outside 0 … K-1 is an InvalidArgument at run time naming label, row and K. Op
/// "SparseSoftmaxCrossEntropy": (logits, labels) -> (loss [...], backprop [..., K] = softmax -
/// onehot). The kernel may compute both in one pass; gradient: dlogits = dloss * backprop.
Value sparse_softmax_cross_entropy(Value logits, Value labels);
/// -sum(labels * log softmax(logits)) for each row; labels [..., K]. Op "SoftmaxCrossEntropy":
/// (logits, labels) -> (loss [...], backprop [..., K] = softmax * sum(labels) - labels), right also
/// for rows whose labels do not sum to 1.
Value softmax_cross_entropy(Value logits, Value labels);
/// max(x,0) - x*z + log(1+e^-|x|), elementwise, for logits x and labels z. Built from elementwise
/// ops.
Value sigmoid_cross_entropy(Value logits, Value labels);

void register_softmax(OpRegistry& ops);

}  // namespace cohort::ops
