#include "cohort/nn/internal/fit_metrics.h"

#include <algorithm>

namespace cohort::nn::internal {
namespace {

constexpr std::chrono::seconds kBetweenLooks(1);

StepMetrics::Totals totals_of(distribute::StepRunner& step) {
  const distribute::CommunicationCost cost = step.communication_cost();
  return {cost.waited, cost.bytes_sent, cost.collectives};
}

}  // namespace

FitMetrics::FitMetrics(MetricRegistry& metrics, distribute::StepRunner& step)
    : metrics_(metrics),
      step_(step),
      steps_(metrics),
      epoch_(metrics.gauge({.name = "cohort_epoch", .help = "The epoch under way, from 1."})) {
  steps_.begin(totals_of(step));
}

void FitMetrics::add_step(const StepClock& clock, int64_t rows) {
  steps_.add(clock.last_input(), clock.last_step(), rows, totals_of(step_));
}

void FitMetrics::show(const StepClock& clock, const Logs& logs, bool end_of_epoch) {
  if (!end_of_epoch && clock.now() - shown_ < kBetweenLooks) return;
  shown_ = clock.now();
  for (const auto& [name, value] : logs) {
    auto at =
        std::find_if(logs_.begin(), logs_.end(), [&](const auto& e) { return e.first == name; });
    if (at == logs_.end()) {
      Gauge& gauge = metrics_.gauge({.name = "cohort_metric",
                                     .help = "The loss and metrics of the epoch so far, and the "
                                             "latest of validation.",
                                     .labels = {{"name", name}}});
      at = logs_.insert(at, {name, &gauge});
    }
    at->second->set(value);
  }
}

}  // namespace cohort::nn::internal
