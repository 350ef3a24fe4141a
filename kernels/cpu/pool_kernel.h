#pragma once

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/window_plan.h"

namespace cohort::cpu {

enum class PoolDirection { kForward, kBackward };

/// What kernels of pooling share: the numbers of the windows, and the images split over the team (a
/// backward pass adds within one image only).
class PoolKernel : public CpuKernel {
 protected:
  /// Forward: from images to outputs. Backward: from the outputs' gradients to the images'.
  PoolKernel(const KernelRequest& request, PoolDirection direction)
      : CpuKernel(request), plan_(make_plan(request, direction)) {}

  const WindowPlan& plan() const { return plan_; }
  int64_t image_elements() const { return plan_.height * plan_.width * plan_.channels; }
  int64_t output_elements() const { return plan_.out_height * plan_.out_width * plan_.channels; }

  /// Calls fn(begin, end) with ranges of images, each of which costs this much.
  template <class Fn>
  void split_images(int64_t flops_each, int64_t bytes_each, Fn&& fn) {
    parallel_for(threads(), plan_.batch, grain_for(flops_each, bytes_each), fn);
  }

 private:
  static WindowPlan make_plan(const KernelRequest& request, PoolDirection direction) {
    const Shape& from = request.inputs[0].shape;
    const Shape& to = request.outputs[0].shape;
    return direction == PoolDirection::kForward ? pool_plan(request.node.attrs(), from, to)
                                                : pool_plan(request.node.attrs(), to, from);
  }

  WindowPlan plan_;
};

}  // namespace cohort::cpu
