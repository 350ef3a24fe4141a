#pragma once

#include <array>

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/onednn/conv_descs.h"

namespace cohort::cpu::onednn {

/// What convolutions of every direction share: a primitive of three tensors with its scratchpad.
class ConvCallKernel : public CpuKernel {
 public:
  size_t workspace_bytes() const override { return scratchpad_bytes_; }

  void run() final {
    const TeamSize team(num_threads_);
    compute();
  }

 protected:
  using Argument = std::pair<int, Desc>;

  ConvCallKernel(const KernelRequest& request, const WindowPlan& plan)
      : CpuKernel(request), num_threads_(team_for(request, plan)) {}

  virtual void compute() = 0;

  /// `more` are arguments 4, 5, …; 3 is the scratchpad.
  void bind(dnnl::primitive primitive, const Desc& scratchpad,
            const std::array<Argument, 3>& tensors, const std::vector<Argument>& more = {}) {
    scratchpad_bytes_ = scratchpad.get_size();
    std::vector<Argument> arguments(tensors.begin(), tensors.end());
    arguments.emplace_back(DNNL_ARG_SCRATCHPAD, scratchpad);
    arguments.insert(arguments.end(), more.begin(), more.end());
    conv_ = Call(context_, std::move(primitive), arguments);
  }

  void execute(const void* first, const void* second, const void* third) {
    conv_.set(0, first);
    conv_.set(1, second);
    conv_.set(2, third);
    conv_.set(3, workspace());
    conv_.execute(context_);
  }

  Context context_;
  Call conv_;

 private:
  int num_threads_;
  size_t scratchpad_bytes_ = 0;
};

/// A convolution of input 0 with the kernel that is input 1, which oneDNN wants in its own layout.
class PackedConvKernel : public ConvCallKernel {
 protected:
  using ConvCallKernel::ConvCallKernel;

  void compute() override {
    execute(in(0).data<float>(), kernel_.data(context_), out(0).data<float>());
  }

  PackedKernel kernel_;
};

}  // namespace cohort::cpu::onednn
