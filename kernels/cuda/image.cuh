#pragma once

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/window.h"

namespace cohort::cuda {

/// The same windows over vectors of `count` channels, which must divide them.
inline Window widened(Window w, int count) {
  w.channels /= count;
  w.out_channels /= count;
  return w;
}

/// One element of a channels-last image.
struct Pixel {
  int image, row, column, channel;
};

template <class Index>
__device__ inline Pixel pixel_by(Index i, int height, int width, int channels) {
  const Index place = i / static_cast<Index>(channels);
  const Index line = place / static_cast<Index>(width);
  return {static_cast<int>(line / static_cast<Index>(height)),
          static_cast<int>(line % static_cast<Index>(height)),
          static_cast<int>(place % static_cast<Index>(width)),
          static_cast<int>(i % static_cast<Index>(channels))};
}

/// Divisions of 64 bits cost a multiple of those of 32, which nearly all images can do with.
__device__ inline Pixel pixel_at(int64_t i, int height, int width, int channels) {
  return i <= UINT32_MAX ? pixel_by(static_cast<uint32_t>(i), height, width, channels)
                         : pixel_by(static_cast<uint64_t>(i), height, width, channels);
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
