#include "cohort/core/trace/step_metrics.h"

#include <algorithm>

namespace cohort {
namespace {

Counter& seconds_of(MetricRegistry& metrics, const char* phase) {
  return metrics.counter({.name = "cohort_step_seconds_total",
                          .help = "Time in training steps: waiting for input, computing, and in "
                                  "communication that was not hidden.",
                          .labels = {{"phase", phase}},
                          .unit = 1e-9});
}

uint64_t count_of(std::chrono::nanoseconds time) {
  return static_cast<uint64_t>(std::max<int64_t>(0, time.count()));
}

}  // namespace

StepMetrics::StepMetrics(MetricRegistry& metrics)
    : steps_(metrics.counter(
          {.name = "cohort_steps_total", .help = "Training steps that have ended."})),
      examples_(metrics.counter(
          {.name = "cohort_examples_total", .help = "Examples that this task has trained on."})),
      input_(seconds_of(metrics, "input")),
      compute_(seconds_of(metrics, "compute")),
      communication_(seconds_of(metrics, "communication")),
      bytes_(metrics.counter({.name = "cohort_network_sent_bytes_total",
                              .help = "Bytes of collectives sent over the network."})),
      collectives_(metrics.counter(
          {.name = "cohort_collectives_total", .help = "Collectives of training steps."})) {}

void StepMetrics::add(std::chrono::nanoseconds input, std::chrono::nanoseconds step,
                      int64_t examples, const Totals& totals) {
  const auto waited = totals.waited - last_.waited;
  steps_.add();
  examples_.add(static_cast<uint64_t>(examples));
  input_.add(count_of(input));
  compute_.add(count_of(step - waited));
  communication_.add(count_of(waited));
  bytes_.add(totals.bytes_sent - last_.bytes_sent);
  collectives_.add(totals.collectives - last_.collectives);
  last_ = totals;
}

}  // namespace cohort
