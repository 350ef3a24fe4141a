#pragma once

#include <optional>

#include "cohort/nn/metric.h"

/// Metrics of decisions: y_pred > threshold beside y_true (0 or not 0), of equal shapes but for a
/// last dimension of 1. With several thresholds the result has a value for each. Weights of a lower
/// rank count from the front: [N] weighs rows.
namespace cohort::nn {
namespace metrics {

struct TruePositivesOptions {
  std::vector<double> thresholds = {};  ///< in [0, 1]; empty: 0.5
  std::string name = "true_positives";
};
/// How many are decided to be positive, and are.
struct TruePositives : Metric {
  static constexpr std::string_view kName = "true_positives";
  explicit TruePositives(TruePositivesOptions options = {});
};

struct TrueNegativesOptions {
  std::vector<double> thresholds = {};
  std::string name = "true_negatives";
};
/// How many are decided to be negative, and are.
struct TrueNegatives : Metric {
  static constexpr std::string_view kName = "true_negatives";
  explicit TrueNegatives(TrueNegativesOptions options = {});
};

struct FalsePositivesOptions {
  std::vector<double> thresholds = {};
  std::string name = "false_positives";
};
/// How many are decided to be positive, and are not.
struct FalsePositives : Metric {
  static constexpr std::string_view kName = "false_positives";
  explicit FalsePositives(FalsePositivesOptions options = {});
};

struct FalseNegativesOptions {
  std::vector<double> thresholds = {};
  std::string name = "false_negatives";
};
/// How many are decided to be negative, and are not.
struct FalseNegatives : Metric {
  static constexpr std::string_view kName = "false_negatives";
  explicit FalseNegatives(FalseNegativesOptions options = {});
};

struct PrecisionOptions {
  std::vector<double> thresholds = {};   ///< in [0, 1]; empty: 0.5, and none with top_k
  std::optional<int64_t> top_k = {};     ///< positive are only the k largest of the last dimension
  std::optional<int64_t> class_id = {};  ///< counts this one of the last dimension alone
  std::string name = "precision";
};
/// The part of the decided positives that are; 0 without any.
struct Precision : Metric {
  static constexpr std::string_view kName = "precision";
  explicit Precision(PrecisionOptions options = {});
};

struct RecallOptions {
  std::vector<double> thresholds = {};
  std::optional<int64_t> top_k = {};
  std::optional<int64_t> class_id = {};
  std::string name = "recall";
};
/// The part of the positives that are decided to be; 0 without any.
struct Recall : Metric {
  static constexpr std::string_view kName = "recall";
  explicit Recall(RecallOptions options = {});
};

}  // namespace metrics

using metrics::FalseNegatives;
using metrics::FalsePositives;
using metrics::Precision;
using metrics::Recall;
using metrics::TrueNegatives;
using metrics::TruePositives;

}  // namespace cohort::nn
