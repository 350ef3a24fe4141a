#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/trace/step_metrics.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/internal/step_clock.h"
#include "cohort/nn/logs.h"

namespace cohort::nn::internal {

/// What fit tells the program's metrics.
class FitMetrics {
 public:
  FitMetrics(MetricRegistry& metrics, distribute::StepRunner& step);

  /// `clock` has the step that has just run, `rows` of a batch in this process.
  void add_step(const StepClock& clock, int64_t rows);
  void begin_epoch(int64_t epoch) { epoch_.set(static_cast<double>(epoch + 1)); }
  /// Reads the logs, at most once a second unless it is an epoch's end: on a GPU that is a wait.
  void show(const StepClock& clock, const Logs& logs, bool end_of_epoch);

 private:
  MetricRegistry& metrics_;
  distribute::StepRunner& step_;
  StepMetrics steps_;
  Gauge& epoch_;
  std::vector<std::pair<std::string, Gauge*>> logs_;
  StepClock::Time shown_;
};

}  // namespace cohort::nn::internal
