#pragma once

#include "cohort/core/chrono.h"

namespace cohort::cluster {

/// Steady time without that in which this process was stopped, as when a whole job is suspended.
/// Its user looks at it at least every `longest_nap` while it waits; where a look comes a second
/// later than that, the time beyond it was a stop. One thread.
class RunningClock {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RunningClock(Clock::duration longest_nap)
      : longest_nap_(longest_nap), last_look_(Clock::now()) {}

  Clock::time_point now() { return at(Clock::now()); }
  /// The same, given the real time.
  Clock::time_point at(Clock::time_point real) {
    const auto late = real - last_look_ - longest_nap_;
    if (late > std::chrono::seconds(1)) stopped_ += late;
    last_look_ = real;
    return real - stopped_;
  }

 private:
  const Clock::duration longest_nap_;
  Clock::time_point last_look_;
  Clock::duration stopped_{0};
};

}  // namespace cohort::cluster
