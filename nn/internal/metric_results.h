#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/runtime/program.h"
#include "cohort/nn/metric.h"

namespace cohort::nn::internal {

/// The results of metrics: one graph for all of them, traced when this is made, which runs on the
/// host on copies of their states, wherever these are. The metrics are built and outlive it, and
/// states may not be added to them. In steady state nothing here allocates but what now() returns.
/// Thread-safe.
class MetricResults {
 public:
  /// Throws InvalidArgument for a result that is neither a number nor [K].
  explicit MetricResults(std::vector<MetricImpl*> metrics);

  /// How many values metric i has. They come one metric after the other.
  int64_t count(size_t metric) const { return counts_[metric]; }
  int64_t count() const;
  /// Calls `use` with the values that belong to the states as they are now, or to `states`, where
  /// they are given; these may be empty for zeros.
  template <class Use>
  void read(const std::vector<Tensor>* states, Use&& use) {
    const std::lock_guard lock(mutex_);
    states ? copy(*states) : copy_states();
    compute();
    use(std::span<const double>(values_));
  }
  std::vector<double> now();

  /// Copies of all states, metric after metric.
  std::vector<Tensor> states() const;
  /// Empty: 0 everywhere.
  void set_states(const std::vector<Tensor>& states) const;

 private:
  std::vector<Value> record(std::span<const Value> states);
  void copy_states();
  void copy(const std::vector<Tensor>& states);
  void compute();

  std::vector<MetricImpl*> metrics_;
  std::vector<Variable> variables_;
  std::vector<int64_t> counts_;
  std::mutex mutex_;
  // Guarded by mutex_.
  Trace trace_;
  Device* device_ = nullptr;
  std::vector<Tensor> inputs_;
  std::unique_ptr<Program> program_;  ///< made on first use, in the device's turn
  Executable* executable_ = nullptr;
  std::vector<double> values_;
};

}  // namespace cohort::nn::internal
