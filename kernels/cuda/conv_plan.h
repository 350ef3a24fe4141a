#pragma once

#include <optional>

#include "cohort/core/dtype.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/window.h"

namespace cohort::cuda {

enum class ConvPass { kForward, kBackwardInput, kBackwardKernel };

/// A pass of a convolution with cuDNN's choice of algorithm, among those that give the same bits
/// every time. Images and gradients are [N, H, W, C]; kernels are [F, KH, KW, C / groups], which is
/// cuDNN's order. The window's padding must be the same on opposite sides.
class ConvPlan {
 public:
  /// Nothing when cuDNN does not take the case.
  static std::optional<ConvPlan> make(CudaDevice& device, DType dtype, const Window& w,
                                      ConvPass pass);

  size_t workspace_bytes() const { return workspace_bytes_; }
  /// forward: image, kernel -> output. Backward input: output's gradient, kernel -> image's.
  /// Backward kernel: image, output's gradient -> kernel's.
  void run(const void* first, const void* second, void* result, void* workspace);

 private:
  using Tensor4 = Handle<cudnnTensorDescriptor_t, cudnnDestroyTensorDescriptor>;
  using Filter = Handle<cudnnFilterDescriptor_t, cudnnDestroyFilterDescriptor>;
  using Convolution = Handle<cudnnConvolutionDescriptor_t, cudnnDestroyConvolutionDescriptor>;

  ConvPlan(CudaDevice& device, DType dtype, const Window& w, ConvPass pass);
  bool choose();
  bool ask_workspace();
  template <class Performance>
  bool accept(const Performance& candidate);
  template <class Performance, class Get>
  bool choose_from(Get&& get);

  cudnnHandle_t library_;
  ConvPass pass_;
  bool double_scale_;
  bool exact_;  ///< f32 that must not be rounded to TensorFloat-32
  Tensor4 image_, output_;
  Filter filter_;
  Convolution convolution_;
  int algorithm_ = 0;
  size_t workspace_bytes_ = 0;
};

}  // namespace cohort::cuda
