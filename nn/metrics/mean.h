#pragma once

#include "cohort/nn/losses.h"
#include "cohort/nn/metric.h"

namespace cohort::nn {

/// The weighted mean of a value of every example. A metric of one's own may derive from it. States:
/// "total" and "count".
class MeanMetricImpl : public MetricImpl {
 public:
  explicit MeanMetricImpl(std::string name);
  /// A value of every example, [N, …]: averaged over all dimensions but the first.
  virtual Value values(Value y_true, Value y_pred) const = 0;

  std::vector<Value> contributions(const MetricArgs& args) const override;
  /// total / count; 0 where nothing was counted.
  Value result(std::span<const Value> states) const override;
};

namespace metrics {

/// The weighted mean of values.
struct Mean {
  static constexpr std::string_view kName = "mean";
  std::string name = "mean";

  operator Metric() const;
};

/// The weighted sum of values.
struct Sum {
  static constexpr std::string_view kName = "sum";
  std::string name = "sum";

  operator Metric() const;
};

/// The mean over all examples of a loss: what "mse" and "sparse_categorical_crossentropy" are as
/// metrics. Examples that the loss leaves out (ignore_class) do not count. Its name is the loss's
/// where none is given.
struct MeanOfLoss {
  Loss loss;
  std::string name = "";

  operator Metric() const;
};

}  // namespace metrics

using metrics::Mean;
using metrics::Sum;

}  // namespace cohort::nn
