#include "cohort/nn/internal/loop_metrics.h"

#include <utility>

namespace cohort::nn::internal {

LoopMetrics::~LoopMetrics() {
  if (objective_.holder_ == this) objective_.holder_ = nullptr;
  --objective_.loops_;
}

void LoopMetrics::put_others_aside() {
  LoopMetrics* holder = std::exchange(objective_.holder_, this);
  if (holder && holder != this) holder->kept_ = objective_.states();
}

void LoopMetrics::reset() {
  put_others_aside();
  objective_.set_states({});
}

std::vector<Tensor> LoopMetrics::states() const {
  return objective_.holder_ == this ? objective_.states() : kept_;
}

void LoopMetrics::restore(const std::vector<Tensor>& states) {
  put_others_aside();
  objective_.set_states(states);
}

void LoopMetrics::take_back() {
  put_others_aside();
  objective_.set_states(kept_);
}

void LoopMetrics::read(std::vector<std::pair<std::string, double>>& entries) const {
  objective_.read(entries, objective_.holder_ == this ? nullptr : &kept_);
}

}  // namespace cohort::nn::internal
