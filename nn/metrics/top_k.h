#pragma once

#include "cohort/nn/metrics/mean.h"

namespace cohort::nn {
namespace metrics {

/// How often the largest of y_true [N, …, K] is among the k largest of y_pred [N, …, K]. Ties with
/// the k-th count; a row with an infinity or NaN does not.
struct TopKCategoricalAccuracy {
  static constexpr std::string_view kName = "top_k_categorical_accuracy";
  int64_t k = 5;
  std::string name = "top_k_categorical_accuracy";

  operator Metric() const;
};

/// The same for class numbers y_true [N, …] or [N, …, 1]; one that is no class is never found. With
/// from_sorted_ids y_pred holds class numbers, the most likely first, instead of scores.
struct SparseTopKCategoricalAccuracy {
  static constexpr std::string_view kName = "sparse_top_k_categorical_accuracy";
  int64_t k = 5;
  std::string name = "sparse_top_k_categorical_accuracy";
  bool from_sorted_ids = false;

  operator Metric() const;
};

}  // namespace metrics

using metrics::SparseTopKCategoricalAccuracy;
using metrics::TopKCategoricalAccuracy;

}  // namespace cohort::nn
