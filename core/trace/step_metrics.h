#pragma once

#include <cstdint>

#include "cohort/core/chrono.h"
#include "cohort/core/trace/metrics.h"

namespace cohort {

/// What every step of training adds to a program's metrics. Writing allocates nothing and takes no
/// lock.
class StepMetrics {
 public:
  explicit StepMetrics(MetricRegistry& metrics);

  /// What the steps have cost since somebody began to count.
  struct Totals {
    std::chrono::nanoseconds waited{0};  ///< for other replicas
    uint64_t bytes_sent = 0;             ///< over the network
    uint64_t collectives = 0;
  };
  /// Totals at the beginning.
  void begin(const Totals& totals) { last_ = totals; }
  /// A step has run: `step` is its time, waits included, and `input` that until its batch was
  /// there; `examples` are this task's.
  void add(std::chrono::nanoseconds input, std::chrono::nanoseconds step, int64_t examples,
           const Totals& totals);

 private:
  Counter &steps_, &examples_, &input_, &compute_, &communication_, &bytes_, &collectives_;
  Totals last_;
};

}  // namespace cohort
