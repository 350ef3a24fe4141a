#pragma once

#include "cohort/nn/metrics/mean.h"

namespace cohort::nn {
namespace metrics {

/// How often y_pred equals y_true.
struct Accuracy {
  static constexpr std::string_view kName = "accuracy";
  std::string name = "accuracy";

  operator Metric() const;
};

/// How often y_pred > threshold equals y_true (0 or 1).
struct BinaryAccuracy {
  static constexpr std::string_view kName = "binary_accuracy";
  std::string name = "binary_accuracy";
  double threshold = 0.5;

  operator Metric() const;
};

/// How often the largest of y_pred [N, K] is where the largest of y_true [N, K] is.
struct CategoricalAccuracy {
  static constexpr std::string_view kName = "categorical_accuracy";
  std::string name = "categorical_accuracy";

  operator Metric() const;
};

/// How often the largest of y_pred [N, K] is at y_true [N] or [N, 1].
struct SparseCategoricalAccuracy {
  static constexpr std::string_view kName = "sparse_categorical_accuracy";
  std::string name = "sparse_categorical_accuracy";

  operator Metric() const;
};

}  // namespace metrics

using metrics::Accuracy;
using metrics::BinaryAccuracy;
using metrics::CategoricalAccuracy;
using metrics::SparseCategoricalAccuracy;

}  // namespace cohort::nn
