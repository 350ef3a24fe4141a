#pragma once

#include "cohort/core/graph/attr.h"
#include "cohort/core/shape.h"

namespace cohort::cpu {

/// The numbers of a 2-D convolution between image [N, H, W, C], kernel [KH, KW, C / groups, F] and
/// output [N, OH, OW, F], or (without a kernel) of a pooling.
struct WindowPlan {
  /// Reads "strides", "pads" and, where there are any, "dilation" and "groups".
  WindowPlan(const Attrs& attrs, const Shape& image, const Shape& output, int64_t window_height,
             int64_t window_width);

  int64_t batch, height, width, channels;
  int64_t out_height, out_width, out_channels;
  int64_t window_height, window_width;
  int64_t stride_height, stride_width;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  int64_t dilation_height = 1, dilation_width = 1;
  int64_t groups = 1;

  int64_t channels_per_group() const { return channels / groups; }
  int64_t outputs_per_group() const { return out_channels / groups; }
  /// The image row that window row `kh` of output row `oh` looks at; outside 0 … height - 1 it is
  /// padding.
  int64_t row(int64_t oh, int64_t kh) const {
    return oh * stride_height - pad_top + kh * dilation_height;
  }
  int64_t column(int64_t ow, int64_t kw) const {
    return ow * stride_width - pad_left + kw * dilation_width;
  }
};

WindowPlan conv_plan(const Attrs& attrs, const Shape& image, const Shape& kernel,
                     const Shape& output);
/// Takes the window from attribute "pool_size".
WindowPlan pool_plan(const Attrs& attrs, const Shape& image, const Shape& output);

}  // namespace cohort::cpu
