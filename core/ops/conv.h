#pragma once

#include <array>

#include "cohort/core/graph/op.h"

namespace cohort::ops {

enum class Padding { kValid, kSame };

struct Conv2DOptions {
  std::array<int64_t, 2> strides = {1, 1};
  Padding padding = Padding::kValid;
  std::array<int64_t, 2> dilation = {1, 1};
  int64_t groups = 1;
};

/// x [N, H, W, C], kernel [KH, KW, C / groups, F] -> [N, H', W', F]: cross-correlation,
/// TensorFlow's SAME padding (the extra row below and right). Op "Conv2D"; attrs "strides",
/// "dilation", "pads" ([top, bottom, left, right], resolved by the builder because H and W are
/// numbers), "groups". Backward ops: "Conv2DBackwardInput" (dy, kernel) attr "shape" = x's;
/// "Conv2DBackwardKernel" (x, dy) attr "shape" = kernel's; both with Conv2D's attrs. Both have
/// gradients built from the other two (second order).
///
/// The compiler fuses into it, as op "FusedConv2D" (x, kernel, bias [F]) with attr "activation": ""
/// or "relu".
Value conv2d(Value x, Value kernel, Conv2DOptions options = {});

void register_conv(OpRegistry& ops);

}  // namespace cohort::ops
