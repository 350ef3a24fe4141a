#pragma once

#include <optional>

#include "cohort/nn/metric.h"

namespace cohort::nn {
namespace metrics {

/// (1 + beta^2) precision recall / (beta^2 precision + recall) of each class: labels [N, K] (0 or
/// 1) and predictions [N, K].
struct FBetaScore {
  static constexpr std::string_view kName = "fbeta_score";
  std::string average = "";  ///< "": a value for each class; or "micro", "macro", "weighted"
  double beta = 1.0;
  std::optional<double> threshold = {};  ///< in (0, 1]; absent: the largest of a row is decided for
  std::string name = "fbeta_score";

  operator Metric() const;
};

/// FBetaScore with beta 1: the harmonic mean of precision and recall.
struct F1Score {
  static constexpr std::string_view kName = "f1_score";
  std::string average = "";
  std::optional<double> threshold = {};
  std::string name = "f1_score";

  operator Metric() const;
};

}  // namespace metrics

using metrics::F1Score;
using metrics::FBetaScore;

}  // namespace cohort::nn
