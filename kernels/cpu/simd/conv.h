#pragma once

#include <cstddef>

namespace cohort::cpu {

/// x: [batch, height, width, channels], kernel: [kernel_height, kernel_width, channels / groups,
/// filters], y: [batch, out_height, out_width, filters], all contiguous. Cross-correlation; output
/// (oh, ow) reads rows oh * stride_height - pad_top + kh * dilation_height, columns alike; what
/// lies outside x is 0. A team splits the batch.
struct ConvShape {
  std::ptrdiff_t batch = 0;
  std::ptrdiff_t height = 0;
  std::ptrdiff_t width = 0;
  std::ptrdiff_t channels = 0;
  std::ptrdiff_t filters = 0;
  std::ptrdiff_t out_height = 0;
  std::ptrdiff_t out_width = 0;
  std::ptrdiff_t kernel_height = 1;
  std::ptrdiff_t kernel_width = 1;
  std::ptrdiff_t stride_height = 1;
  std::ptrdiff_t stride_width = 1;
  std::ptrdiff_t dilation_height = 1;
  std::ptrdiff_t dilation_width = 1;
  std::ptrdiff_t pad_top = 0;
  std::ptrdiff_t pad_left = 0;
  std::ptrdiff_t groups = 1;
};

/// Direct convolution on the plain layouts, nothing reordered but the kernel, once a call. An
/// element of y or dx has the same bits in any batch. Scratch: conv_scratch_bytes(), aligned to 64
/// bytes, this call's alone.
template <class T>
struct ConvRoutines {
  /// y = x * kernel, + bias[filters] where given, then max(0, .) where relu.
  void (*conv)(const ConvShape& shape, const T* x, const T* kernel, const T* bias, bool relu, T* y,
               std::byte* scratch);
  /// dx, from dy. With strides above 1 it multiplies many zeros.
  void (*conv_grad_input)(const ConvShape& shape, const T* dy, const T* kernel, T* dx,
                          std::byte* scratch);
  /// dkernel (+)= the sum over the batch, images added in order.
  void (*conv_grad_kernel)(const ConvShape& shape, const T* x, const T* dy, T* dkernel,
                           bool accumulate, std::byte* scratch);
  /// Enough for each of the three; does not depend on the batch.
  std::size_t (*conv_scratch_bytes)(const ConvShape& shape);
};

}  // namespace cohort::cpu
