#pragma once

#include <optional>

#include "cohort/nn/metric.h"

/// Metrics of decisions: y_pred > threshold beside y_true (0 or not 0), of equal shapes but for a
/// last dimension of 1. With several thresholds the result has a value for each. Weights of a lower
/// rank count from the front: [N] weighs rows.
namespace cohort::nn {
namespace metrics {

/// How many are decided to be positive, and are.
struct TruePositives {
  static constexpr std::string_view kName = "true_positives";
  std::vector<double> thresholds = {};  ///< in [0, 1]; empty: 0.5
  std::string name = "true_positives";

  operator Metric() const;
};

/// How many are decided to be negative, and are.
struct TrueNegatives {
  static constexpr std::string_view kName = "true_negatives";
  std::vector<double> thresholds = {};
  std::string name = "true_negatives";

  operator Metric() const;
};

/// How many are decided to be positive, and are not.
struct FalsePositives {
  static constexpr std::string_view kName = "false_positives";
  std::vector<double> thresholds = {};
  std::string name = "false_positives";

  operator Metric() const;
};

/// How many are decided to be negative, and are not.
struct FalseNegatives {
  static constexpr std::string_view kName = "false_negatives";
  std::vector<double> thresholds = {};
  std::string name = "false_negatives";

  operator Metric() const;
};

/// The part of the decided positives that are; 0 without any.
struct Precision {
  static constexpr std::string_view kName = "precision";
  std::vector<double> thresholds = {};   ///< in [0, 1]; empty: 0.5, and none with top_k
  std::optional<int64_t> top_k = {};     ///< positive are only the k largest of the last dimension
  std::optional<int64_t> class_id = {};  ///< counts this one of the last dimension alone
  std::string name = "precision";

  operator Metric() const;
};

/// The part of the positives that are decided to be; 0 without any.
struct Recall {
  static constexpr std::string_view kName = "recall";
  std::vector<double> thresholds = {};
  std::optional<int64_t> top_k = {};
  std::optional<int64_t> class_id = {};
  std::string name = "recall";

  operator Metric() const;
};

}  // namespace metrics

using metrics::FalseNegatives;
using metrics::FalsePositives;
using metrics::Precision;
using metrics::Recall;
using metrics::TrueNegatives;
using metrics::TruePositives;

}  // namespace cohort::nn
