#pragma once

#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/internal/signal_watch.h"

namespace cohort::nn::internal {

/// Whether any process of a job has been asked to end, known by all at one call. They tell each
/// other only once in a while: after a number of calls that the chief makes last about kEvery.
class Preemption {
 public:
  Preemption(distribute::Workers& workers, const std::vector<int>& signals)
      : workers_(workers), watch_(signals) {}

  /// The signal that has come; 0: none. Collective: all call it as often.
  int poll();

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kEvery{100};
  static constexpr int64_t kMostCalls = 1 << 16;

  int64_t next_interval() const;

  distribute::Workers& workers_;
  SignalWatch watch_;
  int64_t interval_ = 1, calls_ = 0;
  Clock::time_point told_ = Clock::now();
};

}  // namespace cohort::nn::internal
