#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/runtime/function.h"
#include "cohort/nn/handle.h"
#include "cohort/nn/losses.h"
#include "cohort/nn/variable.h"

namespace cohort::nn {

class Metric;

/// What one update of a metric gets. `sample_weight` may be undefined; metrics of one argument
/// (Mean) get it as y_pred.
struct MetricArgs {
  Value y_true;
  Value y_pred;
  Value sample_weight;
};

/// What a metric is: a few numbers that start at 0 and to which every batch adds, and a result made
/// of them. The sums run over all replicas. A user's own derives from it.
class MetricImpl {
 public:
  using HandleType = Metric;
  MetricImpl(std::string name, int num_states);
  virtual ~MetricImpl();

  /// What this replica's rows add to each state: f32 scalars in the graph being traced.
  virtual std::vector<Value> contributions(const MetricArgs& args) const = 0;
  /// The result, from the states.
  virtual double result(std::span<const double> states) const = 0;

  const std::string& name() const { return name_; }
  const std::vector<Variable>& variables() const { return states_; }

 private:
  friend class Metric;

  std::string name_;
  std::vector<Variable> states_;
  std::map<std::vector<bool>, Function> updates_;  ///< by which arguments are there
};

/// A handle to a metric.
class Metric : public Handle<MetricImpl> {
 public:
  Metric() = default;
  explicit Metric(std::shared_ptr<MetricImpl> impl) : Handle(std::move(impl)) {}

  const std::string& name() const { return impl().name(); }
  const std::vector<Variable>& variables() const { return impl().variables(); }

  /// Inside a traced function: adds this batch, over all replicas, when the step commits.
  void update_state(Value y_true, Value y_pred, Value sample_weight = {}) const;
  void update_state(Value values) const { update_state(Value(), values); }
  /// Outside: adds concrete values.
  void update_state(const Tensor& y_true, const Tensor& y_pred,
                    const Tensor& sample_weight = {}) const;
  void update_state(const Tensor& values) const { update_state(Tensor(), values); }

  double result() const;
  void reset_state() const;
};

namespace metrics {

struct MetricOptions {
  std::string name;
};
struct BinaryAccuracyOptions {
  std::string name = "binary_accuracy";
  double threshold = 0.5;
};
struct MeanOptions {
  std::string name = "mean";
};
struct SumOptions {
  std::string name = "sum";
};

/// How often y_pred equals y_true.
struct Accuracy : Metric {
  explicit Accuracy(MetricOptions options = {.name = "accuracy"});
};
/// How often y_pred > threshold equals y_true (0 or 1).
struct BinaryAccuracy : Metric {
  explicit BinaryAccuracy(BinaryAccuracyOptions options = {});
};
/// How often the largest of y_pred [N, K] is where the largest of y_true [N, K] is.
struct CategoricalAccuracy : Metric {
  explicit CategoricalAccuracy(MetricOptions options = {.name = "categorical_accuracy"});
};
/// How often the largest of y_pred [N, K] is at y_true [N] or [N, 1].
struct SparseCategoricalAccuracy : Metric {
  explicit SparseCategoricalAccuracy(MetricOptions options = {
                                         .name = "sparse_categorical_accuracy"});
};
/// The weighted mean of values.
struct Mean : Metric {
  explicit Mean(MeanOptions options = {});
};
/// The weighted sum of values.
struct Sum : Metric {
  explicit Sum(SumOptions options = {});
};
/// The mean over all examples of a loss: what "mse" and "sparse_categorical_crossentropy" are as
/// metrics. Examples that the loss leaves out (ignore_class) do not count. Its name is the loss's
/// where none is given.
struct MeanOfLoss : Metric {
  explicit MeanOfLoss(Loss loss, std::string name = "");
};

}  // namespace metrics

using metrics::Accuracy;
using metrics::BinaryAccuracy;
using metrics::CategoricalAccuracy;
using metrics::Mean;
using metrics::SparseCategoricalAccuracy;
using metrics::Sum;

/// A metric by name; it keeps that name. "accuracy" ("acc") is chosen by the shapes of labels and
/// predictions, as in Keras: binary for predictions [N, 1], sparse where the labels lack the
/// classes' dimension, else categorical. Throws InvalidArgument that lists the known names.
Metric make_metric(const std::string& name, const Shape& y_true, const Shape& y_pred);

}  // namespace cohort::nn
