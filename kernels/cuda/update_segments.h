#pragma once

#include <span>
#include <vector>

#include "cohort/core/runtime/kernel.h"
#include "cohort/kernels/cuda/update.h"

namespace cohort::cuda {

/// The arrays of an update (core/ops/update.h), as they lie when it runs.
class UpdateSegments {
 public:
  explicit UpdateSegments(const KernelRequest& request);

  DType dtype() const { return variables_[0].dtype; }
  /// Of an element: gradient, parameter, slots.
  size_t num_arrays() const { return 1 + variables_.size() / count_; }
  /// Whether the group has weight decay, some of it perhaps 0.
  bool decays() const { return !decay_.empty(); }
  /// Behind the gradients.
  const Operand& of_group(size_t i) const { return inputs_[count_ + i]; }
  const Fault* fault() const { return fault_; }

  /// Variables of a bucket follow each other, so they become one segment. Allocates nothing.
  std::span<const UpdateSegment> gather();

 private:
  UpdateSegment segment(size_t i) const;
  bool append(UpdateSegment& last, const UpdateSegment& next) const;

  std::vector<Operand> inputs_;
  std::vector<Operand> variables_;
  std::vector<double> decay_;
  size_t count_;
  const Fault* fault_;
  std::vector<UpdateSegment> segments_;
};

}  // namespace cohort::cuda
