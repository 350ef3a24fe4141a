#pragma once

#include "cohort/core/ops/conv.h"

namespace cohort::ops {

struct Pool2DOptions {
  std::array<int64_t, 2> pool_size = {2, 2};
  std::array<int64_t, 2> strides = {0, 0};  ///< 0: the pool size
  Padding padding = Padding::kValid;
};

/// x [N, H, W, C] -> (y [N, H', W', C], where u8 [N, H', W', C]: the window position (row-major, at
/// most 255 places, else Unimplemented at build time) of the first largest element). Padding never
/// wins. Op "MaxPool2D"; attrs "pool_size", "strides", "pads". "MaxPool2DGrad" (dy, where) attr
/// "shape" = x's -> dx, with MaxPool2D's attrs.
Value max_pool2d(Value x, Pool2DOptions options = {});
/// Mean over the window's cells inside the image (padding is not counted, as in Keras).
/// Op "AvgPool2D"; "AvgPool2DGrad" (dy) attr "shape", with AvgPool2D's attrs.
Value avg_pool2d(Value x, Pool2DOptions options = {});
/// [N, H, W, C] -> [N, C] (or [N, 1, 1, C]). Built from reduce_mean / reduce_max.
Value global_avg_pool2d(Value x, bool keepdims = false);
Value global_max_pool2d(Value x, bool keepdims = false);

void register_pool(OpRegistry& ops);

}  // namespace cohort::ops
