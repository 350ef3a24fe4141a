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
    std::vector<Value> contributions;  ///< to be summed over replicas, then added to `states`
    std::vector<Variable> states;
  };
  /// The outputs of the model, by name.
  struct Outputs {
    const std::vector<std::string>& names;
    const std::vector<Value>& y_true;
    const std::vector<Value>& y_pred;
    const std::vector<Value>& weights;  ///< none, one for all outputs, or one for each
    Value weight_of(size_t i) const {
      return weights.empty() ? Value() : weights.size() == 1 ? weights[0] : weights[i];
    }
  };
  // A step records these in their order; the first and the last of them always.
  void begin();
  /// This replica's share of the loss. `penalties`: scalars that belong to it. FailedPrecondition
  /// without a loss in compile().
  Value record_losses(const Outputs& outputs, const std::vector<Value>& penalties, Terms& terms);
  /// `rows`: values whose rows are this replica's.
  void record_total(Value total, Value rows, Terms& terms) const;
  void record_metrics(const Outputs& outputs, Terms& terms);
  /// `tracked`: metrics that were added to in other ways.
  void end(const std::vector<std::string>& outputs, const std::vector<Metric>& tracked);

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
  void resolve_losses(const std::vector<std::string>& outputs);
  void resolve_metrics(const Outputs& outputs);
  void add_metrics(const MetricSpecs& specs, bool weighted, std::string_view where,
                   const Outputs& outputs);
  std::string free_name(const std::string& output, const std::string& result, bool weighted) const;
  void track(const Metric& mean, Value loss, Value rows, Terms& terms) const;

  CompileOptions options_;
  bool losses_resolved_ = false, metrics_resolved_ = false;
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
