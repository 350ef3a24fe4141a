#pragma once

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/random_stream.h"

namespace cohort::cpu {

/// What kernels of random ops share: the stream of the output's elements, split over the team.
class RandomKernel : public CpuKernel {
 protected:
  explicit RandomKernel(const KernelRequest& request)
      : CpuKernel(request), stream_(request.node.attrs(), request.outputs[0].shape) {}

  /// Calls fn(key, index of the tensor's first element, begin, end) for ranges of elements.
  template <class Fn>
  void split_elements(int64_t flops_each, int64_t bytes_each, Fn&& fn) {
    const uint64_t key = stream_.key(step()), first = stream_.first_index(step());
    parallel_for(threads(), out(0).num_elements(), grain_for(flops_each, bytes_each),
                 [&](int64_t begin, int64_t end) { fn(key, first, begin, end); });
  }

 private:
  RandomStream stream_;
};

/// Dropout and, on dy, its gradient: y = x / (1 - rate) where the element is kept, else 0.
class DropoutKernelBase : public RandomKernel {
 public:
  bool can_share(int, int) const override { return true; }

 protected:
  explicit DropoutKernelBase(const KernelRequest& request)
      : RandomKernel(request), rate_(request.node.attrs().get<double>("rate")) {}

  /// Elements whose 24 random bits are below are dropped.
  uint32_t threshold() const { return philox_drop_threshold(rate_); }
  double scale() const { return rate_ < 1 ? 1 / (1 - rate_) : 0; }

 private:
  double rate_;
};

class NormalKernelBase : public RandomKernel {
 protected:
  explicit NormalKernelBase(const KernelRequest& request)
      : RandomKernel(request),
        mean_(request.node.attrs().get<double>("mean")),
        stddev_(request.node.attrs().get<double>("stddev")) {}

  double mean_, stddev_;
};

}  // namespace cohort::cpu
