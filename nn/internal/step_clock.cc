#include "cohort/nn/internal/step_clock.h"

#include <algorithm>

namespace cohort::nn::internal {

StepClock::StepClock(distribute::StepRunner& step) : step_(step) { begin(); }

void StepClock::begin() {
  cost_ = step_.communication_cost();
  last_ = Clock::now();
  input_ = step_time_ = {};
  steps_ = 0;
}

void StepClock::has_input() {
  const auto now = Clock::now();
  last_input_ = now - last_;
  input_ += last_input_;
  last_ = now;
}

void StepClock::has_run() {
  const auto now = Clock::now();
  last_step_ = now - last_;
  step_time_ += last_step_;
  last_ = now;
  ++steps_;
}

std::vector<StepTimes> StepClock::take(distribute::Workers& workers) {
  using Microseconds = std::chrono::duration<double, std::micro>;
  const distribute::CommunicationCost now = step_.communication_cost();
  const auto steps = static_cast<double>(std::max<int64_t>(1, steps_));
  const auto waited = now.waited - cost_.waited;
  const std::vector<double> mine{static_cast<double>(steps_), Microseconds(input_).count() / steps,
                                 Microseconds(step_time_ - waited).count() / steps,
                                 Microseconds(waited).count() / steps,
                                 static_cast<double>(now.bytes_sent - cost_.bytes_sent) / steps};
  std::vector<StepTimes> all;
  for (const Tensor& times :
       workers.all_gather("step times", std::vector{Tensor::from(mine, Shape{5})})) {
    const auto t = times.values<double>();
    all.push_back({.steps = static_cast<int64_t>(t[0]),
                   .input_us = t[1],
                   .compute_us = t[2],
                   .communication_us = t[3],
                   .bytes_sent = t[4]});
  }
  begin();
  return all;
}

}  // namespace cohort::nn::internal
