#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

struct BatchNormOutputs {
  Value y;         ///< x's shape
  Value mean;      ///< [C], of this batch
  Value variance;  ///< [C], biased, of this batch
};

/// Normalises x [..., C] over all axes but the last by the batch's own statistics, then scales by
/// gamma [C] and shifts by beta [C]. Op "BatchNorm": (x, gamma, beta) -> (y, mean, variance); attr
/// "epsilon". Beside a 16-bit x the parameters may be f32, and then the statistics are. With 0
/// rows: y is empty, mean 0, variance 0. "BatchNormGrad": (dy, x, gamma, mean, variance) -> (dx,
/// dgamma, dbeta); attr "epsilon". Statistics are summed in f32 pairwise or better, in a fixed
/// order. Gradients flow through y only.
BatchNormOutputs batch_norm(Value x, Value gamma, Value beta, double epsilon);
/// With given statistics; built from elementwise ops: (x - mean) * rsqrt(variance + epsilon) *
/// gamma + beta.
Value batch_norm_inference(Value x, Value gamma, Value beta, Value mean, Value variance,
                           double epsilon);

void register_norm(OpRegistry& ops);

}  // namespace cohort::ops
