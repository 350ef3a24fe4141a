#pragma once

#include <cmath>

#include "cohort/core/graph/op.h"
#include "cohort/kernels/cpu/cpu_kernel.h"

namespace cohort::cpu {

/// What the updates of core/ops/update.h share: the order of their inputs and variables.
class UpdateKernel : public CpuKernel {
 protected:
  explicit UpdateKernel(const KernelRequest& request);

  /// Variables side by side in every array: the compiler lays them out so, in buckets.
  struct Piece {
    int first;  ///< variable
    int64_t count;
  };

  /// Parameters, which is also the number of gradients.
  int count() const { return count_; }
  const Operand& gradient(int i) const { return in(i); }
  const Operand& parameter(int i) const { return variables()[static_cast<size_t>(i)]; }
  /// The number-th slot (from 0) of parameter i.
  const Operand& slot(int number, int i) const {
    return variables()[static_cast<size_t>((number + 1) * count_ + i)];
  }
  // Of updates that have them; apply is the last input of all.
  double learning_rate() const { return static_cast<double>(*in(count_).data<float>()); }
  int64_t step_number() const { return *in(count_ + 1).data<int64_t>(); }
  bool apply() const { return *in(num_inputs() - 1).data<bool>(); }
  /// Whether the group has weight decay, of some of its variables perhaps 0.
  bool decays() const { return !decay_.empty(); }
  double decay(int i) const { return decay_.empty() ? 0 : decay_[static_cast<size_t>(i)]; }

  size_t num_arrays() const { return num_arrays_; }  ///< gradient, parameter, slots
  size_t element_bytes() const { return element_bytes_; }
  int64_t num_elements() const;
  /// All that there is, of one weight decay each, as it lies now. Allocates nothing.
  const std::vector<Piece>& find_pieces();
  /// Of an array at a variable.
  std::byte* begin_of(size_t array, int variable) const;

 private:
  bool follows(const Piece& piece, int next) const;

  std::vector<double> decay_;
  int count_;
  size_t num_arrays_, element_bytes_;
  std::vector<Piece> pieces_;
};

struct AdamConstants {
  explicit AdamConstants(const Attrs& attrs)
      : beta_1(attrs.get<double>("beta_1")),
        beta_2(attrs.get<double>("beta_2")),
        epsilon(attrs.get<double>("epsilon")),
        amsgrad(attrs.get_or<bool>("amsgrad", false)) {}
  /// lr sqrt(1 - beta_2^t) / (1 - beta_1^t)
  double alpha(double learning_rate, int64_t t) const {
    const double n = static_cast<double>(t);
    return learning_rate * std::sqrt(1 - std::pow(beta_2, n)) / (1 - std::pow(beta_1, n));
  }
  double beta_1, beta_2, epsilon;
  bool amsgrad;
};

struct SgdConstants {
  explicit SgdConstants(const Attrs& attrs)
      : momentum(attrs.get<double>("momentum")), nesterov(attrs.get_or<bool>("nesterov", false)) {}
  double momentum;
  bool nesterov;
};

}  // namespace cohort::cpu
