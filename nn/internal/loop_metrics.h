#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cohort/nn/internal/objective.h"

namespace cohort::nn::internal {

/// The loss and metrics of one loop over batches (or of one batch alone). The steps of a model add
/// to the states of its one Objective; a loop that runs inside another, because a callback calls
/// evaluate or fit, has them meanwhile, and the numbers of the outer loop are kept here. One
/// thread.
class LoopMetrics {
 public:
  explicit LoopMetrics(Objective& objective) : objective_(objective), depth_(objective.loops_++) {}
  ~LoopMetrics();
  LoopMetrics(const LoopMetrics&) = delete;
  LoopMetrics& operator=(const LoopMetrics&) = delete;

  /// Whether no other loop is around this one.
  bool is_outermost() const { return depth_ == 0; }
  /// Begins anew at 0.
  void reset();
  /// The states, copied; as many as an earlier process' loop had, in which this one goes on.
  std::vector<Tensor> states() const;
  /// Those that the objective has, whoever's they are.
  std::vector<Tensor> states_now() const { return objective_.states(); }
  void restore(const std::vector<Tensor>& states);
  /// Call before every step.
  void take() {
    if (objective_.holder_ != this) take_back();
  }
  /// See Objective::read.
  void read(std::vector<std::pair<std::string, double>>& entries) const;

 private:
  void take_back();
  void put_others_aside();

  Objective& objective_;
  const int depth_;
  std::vector<Tensor> kept_;  ///< while another loop has the states; empty: all are 0
};

}  // namespace cohort::nn::internal
