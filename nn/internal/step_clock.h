#pragma once

#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/callback.h"

namespace cohort::nn::internal {

/// Divides the time of a training loop into input, compute and communication.
class StepClock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit StepClock(distribute::StepRunner& step);

  void has_input();  ///< the next batch is there
  void has_run();    ///< the step has returned

  // Of the latest step; now() is when it returned.
  std::chrono::nanoseconds last_input() const { return last_input_; }
  std::chrono::nanoseconds last_step() const { return last_step_; }
  Time now() const { return last_; }

  /// The times of all workers since the last call. Collective.
  std::vector<StepTimes> take(distribute::Workers& workers);

 private:
  using Clock = std::chrono::steady_clock;

  void begin();

  distribute::StepRunner& step_;
  distribute::CommunicationCost cost_;  ///< at the beginning
  Clock::time_point last_;
  std::chrono::nanoseconds input_{0}, step_time_{0}, last_input_{0}, last_step_{0};
  int64_t steps_ = 0;
};

}  // namespace cohort::nn::internal
