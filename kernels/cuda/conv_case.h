#pragma once

#include <memory>

#include "cohort/core/runtime/kernel.h"
#include "cohort/kernels/cuda/conv_plan.h"

namespace cohort::cuda {

/// One convolution whatever its pass: which operands are the image, the kernel and the output.
struct ConvCase {
  ConvPass pass;
  Operand first, second, result;  ///< in ConvPlan::run's order
  Operand image;
  Window window;

  bool empty() const { return window.image_elements() == 0 || window.output_elements() == 0; }
};

/// From a Conv2D, a FusedConv2D or a gradient of one.
ConvCase conv_case(const KernelRequest& request);

/// `convolution`, and behind it the bias and activation of a FusedConv2D; nothing where these are
/// not taken.
std::unique_ptr<Kernel> with_bias(const KernelRequest& request,
                                  std::unique_ptr<Kernel> convolution);

/// An exact f32 convolution as products of matrices; nothing where that is not wanted.
std::unique_ptr<Kernel> make_conv_product(const KernelRequest& request);

}  // namespace cohort::cuda
