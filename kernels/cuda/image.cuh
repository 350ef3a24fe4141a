#pragma once

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/window.h"

namespace cohort::cuda {

/// One element of a channels-last image.
struct Pixel {
  int image, row, column, channel;
};

__device__ inline Pixel pixel_at(int64_t i, int height, int width, int channels) {
  const int64_t place = i / channels;
  const int64_t line = place / width;
  return {static_cast<int>(line / height), static_cast<int>(line % height),
          static_cast<int>(place % width), static_cast<int>(i % channels)};
}

__device__ inline int64_t image_index(const Window& w, int image, int row, int column,
                                      int channel) {
  return ((static_cast<int64_t>(image) * w.height + row) * w.width + column) * w.channels + channel;
}

__device__ inline int64_t output_index(const Window& w, int image, int row, int column,
                                       int channel) {
  return ((static_cast<int64_t>(image) * w.out_height + row) * w.out_width + column) *
             w.out_channels +
         channel;
}

__device__ inline bool in_image(const Window& w, int row, int column) {
  return row >= 0 && row < w.height && column >= 0 && column < w.width;
}

/// Calls f(oh, ow, kh, kw) for every window of the output that covers image place (row, column), in
/// the order of the window's places, then of rows.
template <class F>
__device__ void for_each_cover(const Window& w, int row, int column, F&& f) {
  for (int kh = 0; kh < w.window_height; ++kh) {
    const int down = row + w.pad_top - kh * w.dilation_height;
    if (down < 0 || down % w.stride_height != 0 || down / w.stride_height >= w.out_height) continue;
    for (int kw = 0; kw < w.window_width; ++kw) {
      const int across = column + w.pad_left - kw * w.dilation_width;
      if (across < 0 || across % w.stride_width != 0 || across / w.stride_width >= w.out_width)
        continue;
      f(down / w.stride_height, across / w.stride_width, kh, kw);
    }
  }
}

}  // namespace cohort::cuda
