#pragma once

#include <optional>

#include "cohort/nn/metric.h"

namespace cohort::nn {
namespace metrics {

/// The area under a curve of decisions at many thresholds, as Keras approximates it: y_pred (0 to
/// 1) beside y_true (0 or not 0), of equal shapes but for a last dimension of 1. Weights of a lower
/// rank count from the front. "PR" is interpolated as in Davis and Goadrich 2006.
struct AUC {
  static constexpr std::string_view kName = "auc";
  int64_t num_thresholds = 200;                    ///< 2 or more, evenly spaced from 0 to 1
  std::string curve = "ROC";                       ///< or "PR", "PRGAIN"
  std::string summation_method = "interpolation";  ///< or "minoring", "majoring"
  std::string name = "auc";
  std::vector<double> thresholds = {};  ///< in [0, 1], between 0 and 1; instead of num_thresholds
  bool multi_label = false;             ///< the mean over the columns of [N, L], each for itself
  std::optional<int64_t> num_labels = {};  ///< L; with multi_label alone
  std::vector<double> label_weights = {};  ///< one for each of L columns
  bool from_logits = false;                ///< y_pred before a sigmoid

  operator Metric() const;
};

}  // namespace metrics

using metrics::AUC;

}  // namespace cohort::nn
