#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/nn/compile_options.h"
#include "cohort/nn/internal/metric_results.h"

namespace cohort::nn::internal {

class LoopMetrics;

/// The losses and metrics of a compiled model: what a step minimises, and what it adds to the
/// metrics' states. Names and kinds are settled when the first step is traced.
class Objective {
 public:
  explicit Objective(const CompileOptions& options) : options_(options) {}

  struct Terms {
    Value total;  ///< this replica's share of the loss; undefined when `penalties` are all there is
    std::vector<Value> contributions;  ///< to be summed over replicas, then added to `states`
    std::vector<Variable> states;
  };
  /// Records losses and metrics. `weights`: none, one for all outputs, or one for each; may hold
  /// undefined values. `penalties`: scalars that belong to the loss.
  Terms record(const std::vector<std::string>& outputs, const std::vector<Value>& y_true,
               const std::vector<Value>& y_pred, const std::vector<Value>& weights,
               const std::vector<Value>& penalties);

  /// Copies of the metrics' states, one after another.
  std::vector<Tensor> states() const;
  /// Empty: 0 everywhere.
  void set_states(const std::vector<Tensor>& states);
  /// Values by name, in alphabetical order, into `entries`, whose memory is used again. Of
  /// `states`, where they are given (empty: 0 everywhere), else of those on the device.
  void read(std::vector<std::pair<std::string, double>>& entries,
            const std::vector<Tensor>* states = nullptr) const;

 private:
  friend class LoopMetrics;

  struct Tracked {
    Metric metric;
    size_t output;
    bool weighted;
  };
  void resolve(const std::vector<std::string>& outputs, const std::vector<Value>& y_true,
               const std::vector<Value>& y_pred);
  void add_metrics(const MetricSpecs& specs, bool weighted, std::string_view where,
                   const std::vector<std::string>& outputs, const std::vector<Value>& y_true,
                   const std::vector<Value>& y_pred);
  void name_results(const std::vector<std::string>& outputs);
  std::string free_name(const std::string& output, const std::string& result, bool weighted) const;
  void track(const Metric& mean, Value loss, Value rows, Terms& terms) const;

  CompileOptions options_;
  bool resolved_ = false;
  std::vector<Loss> losses_;
  std::vector<double> loss_weights_;
  Metric total_;
  std::vector<Metric> output_losses_;  ///< with several outputs
  std::vector<Tracked> metrics_;
  /// Of all metrics: the loss, those of outputs, then `metrics_`.
  std::unique_ptr<MetricResults> results_;
  std::vector<std::pair<std::string, size_t>> logs_;  ///< in alphabetical order; which result
  LoopMetrics* holder_ = nullptr;                     ///< whose numbers the states hold
  int loops_ = 0;                                     ///< under way, one inside another
};

}  // namespace cohort::nn::internal
