#pragma once

#include <span>
#include <vector>

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu {

/// What most kernels keep of their request.
class CpuKernel : public Kernel {
 protected:
  explicit CpuKernel(const KernelRequest& request)
      : inputs_(request.inputs.begin(), request.inputs.end()),
        outputs_(request.outputs.begin(), request.outputs.end()),
        variables_(request.variables.begin(), request.variables.end()),
        workspace_(request.workspace),
        step_(request.step),
        threads_(request.device.num_threads()) {}

  const Operand& in(int i) const { return inputs_[static_cast<size_t>(i)]; }
  const Operand& out(int i) const { return outputs_[static_cast<size_t>(i)]; }
  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  const std::vector<Operand>& variables() const { return variables_; }
  template <class T = std::byte>
  T* workspace() const {
    return static_cast<T*>(*workspace_);
  }
  const StepState& step() const { return **step_; }
  int threads() const { return threads_; }

 private:
  std::vector<Operand> inputs_;
  std::vector<Operand> outputs_;
  std::vector<Operand> variables_;
  void* const* workspace_;
  const StepState* const* step_;
  int threads_;
};

}  // namespace cohort::cpu
