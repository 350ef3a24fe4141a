#pragma once

#include "cohort/core/graph/op.h"

namespace cohort::ops {

struct MatMulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
};

/// a [..., M, K] times b [..., K, N] -> [..., M, N]; leading dimensions broadcast. With
/// transpose_a, a is [..., K, M]; with transpose_b, b is [..., N, K]. Op "MatMul"; attrs
/// "transpose_a", "transpose_b".
///
/// The compiler fuses into it, as op "FusedMatMul" (a, b, bias [N]) with attr "activation": "" or
/// "relu".
Value matmul(Value a, Value b, MatMulOptions options = {});

void register_matmul(OpRegistry& ops);

}  // namespace cohort::ops
