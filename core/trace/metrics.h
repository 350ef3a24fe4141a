#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

/// Numbers that a program keeps about itself while it runs, for whoever watches it (Prometheus).
namespace cohort {

/// A number that only grows. Written by any thread, read by any other at any time; adding is one
/// relaxed atomic operation.
class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// A number that goes up and down, likewise.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// What a metric is, in Prometheus' words: https://prometheus.io/docs/concepts/data_model.
struct MetricOptions {
  std::string name;  ///< letters, digits and _; a counter's ends in _total
  std::string help;  ///< one sentence; the same for all labels of a name
  MetricLabels labels = {};  ///< not "job" and "instance", which whoever scrapes adds
  /// What one of a counter's stands for: 1e-9 where nanoseconds are counted and seconds are shown.
  double unit = 1;
};

/// The metrics of a Runtime. Making one locks and allocates; writing to one does not. Thread-safe.
class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  /// The metric of this name and these labels, made on first use; it lives as long as the registry.
  /// Throws InvalidArgument for a name or label that Prometheus does not take, or a name that
  /// stands for another kind of metric.
  Counter& counter(const MetricOptions& options);
  Gauge& gauge(const MetricOptions& options);

  /// Labels that every metric has besides its own: which task this is.
  void set_common_labels(MetricLabels labels);

  /// What is wrong with this task, for health checks; "": nothing.
  void set_problem(std::string problem);
  std::string problem() const;

  /// Where the metrics are served, "host:port"; "" while they are not: nobody needs to write any.
  void set_served_at(std::string address);
  std::string served_at() const;
  bool served() const { return served_.load(std::memory_order_relaxed); }

  /// All metrics in Prometheus' text format, version 0.0.4.
  std::string to_prometheus() const;

 private:
  struct Metric;
  struct Family;
  Metric& find(const MetricOptions& options, bool counts);

  std::atomic<bool> served_{false};
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Family>> families_;  // guarded by mutex_, as all below
  MetricLabels common_labels_;
  std::string problem_, served_at_;
};

}  // namespace cohort
