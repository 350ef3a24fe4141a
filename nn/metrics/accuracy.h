#pragma once

#include "cohort/nn/metrics/mean.h"

namespace cohort::nn {
namespace metrics {

struct BinaryAccuracyOptions {
  std::string name = "binary_accuracy";
  double threshold = 0.5;
};

/// How often y_pred equals y_true.
struct Accuracy : Metric {
  static constexpr std::string_view kName = "accuracy";
  explicit Accuracy(MetricOptions options = {.name = "accuracy"});
};
/// How often y_pred > threshold equals y_true (0 or 1).
struct BinaryAccuracy : Metric {
  static constexpr std::string_view kName = "binary_accuracy";
  explicit BinaryAccuracy(BinaryAccuracyOptions options = {});
};
/// How often the largest of y_pred [N, K] is where the largest of y_true [N, K] is.
struct CategoricalAccuracy : Metric {
  static constexpr std::string_view kName = "categorical_accuracy";
  explicit CategoricalAccuracy(MetricOptions options = {.name = "categorical_accuracy"});
};
/// How often the largest of y_pred [N, K] is at y_true [N] or [N, 1].
struct SparseCategoricalAccuracy : Metric {
  static constexpr std::string_view kName = "sparse_categorical_accuracy";
  explicit SparseCategoricalAccuracy(MetricOptions options = {
                                         .name = "sparse_categorical_accuracy"});
};

}  // namespace metrics

using metrics::Accuracy;
using metrics::BinaryAccuracy;
using metrics::CategoricalAccuracy;
using metrics::SparseCategoricalAccuracy;

}  // namespace cohort::nn
