#pragma once

#include <cstdint>

namespace cohort::cuda {

/// The numbers of a 2-D convolution between image [N, H, W, C], kernel [KH, KW, C / groups, F] and
/// output [N, OH, OW, F], or (without a kernel) of a pooling.
struct Window {
  int batch, height, width, channels;
  int out_height, out_width, out_channels;
  int window_height, window_width;
  int stride_height, stride_width;
  int pad_top, pad_bottom, pad_left, pad_right;
  int dilation_height, dilation_width;
  int groups;

  /// The image row that window row `kh` of output row `oh` looks at; outside 0 … height - 1 it is
  /// padding.
  constexpr int row(int oh, int kh) const {
    return oh * stride_height - pad_top + kh * dilation_height;
  }
  constexpr int column(int ow, int kw) const {
    return ow * stride_width - pad_left + kw * dilation_width;
  }
  constexpr int64_t image_elements() const {
    return static_cast<int64_t>(batch) * height * width * channels;
  }
  constexpr int64_t output_elements() const {
    return static_cast<int64_t>(batch) * out_height * out_width * out_channels;
  }
};

}  // namespace cohort::cuda
