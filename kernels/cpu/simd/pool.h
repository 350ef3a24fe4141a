#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// x: [batch, height, width, channels], y: [batch, out_height, out_width, channels]. Window (oh,
/// ow) covers rows oh * stride_height - pad_top + (0 .. window_height) as far as they lie inside x,
/// columns alike; every window holds one cell at least. A blocked layout [N, C/16, H, W, 16] is
/// batch N * C/16 with 16 channels. A team splits the batch.
struct PoolShape {
  std::ptrdiff_t batch = 0;
  std::ptrdiff_t height = 0;
  std::ptrdiff_t width = 0;
  std::ptrdiff_t channels = 0;
  std::ptrdiff_t out_height = 0;
  std::ptrdiff_t out_width = 0;
  std::ptrdiff_t window_height = 2;
  std::ptrdiff_t window_width = 2;
  std::ptrdiff_t stride_height = 2;
  std::ptrdiff_t stride_width = 2;
  std::ptrdiff_t pad_top = 0;
  std::ptrdiff_t pad_left = 0;
};

/// In `where`: no cell of the window.
inline constexpr std::uint8_t kNoCell = 255;

template <class T>
struct PoolRoutines {
  /// where (may be null): the position in the window, row by row from 0, of its first largest
  /// element; at most 255 places. NaN wins. With relu y is max(0, .) of the largest, and where is
  /// kNoCell unless that is positive, so that max_pool_grad passes through both.
  void (*max_pool)(const PoolShape& shape, const T* x, T* y, std::uint8_t* where, bool relu);
  /// dx, all of it: for every cell the sum, in order, of dy of the windows that chose it.
  void (*max_pool_grad)(const PoolShape& shape, const T* dy, const std::uint8_t* where, T* dx);
  /// The mean over the window's cells inside x.
  void (*average_pool)(const PoolShape& shape, const T* x, T* y);
  void (*average_pool_grad)(const PoolShape& shape, const T* dy, T* dx);
};

}  // namespace cohort::cpu
