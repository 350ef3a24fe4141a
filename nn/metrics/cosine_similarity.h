#pragma once

#include "cohort/nn/metrics/mean.h"

namespace cohort::nn {
namespace metrics {

/// The mean of the cosine of the angle between y_true and y_pred, as vectors along `axis`, which is
/// not that of examples; 0 for a vector of zeros.
struct CosineSimilarity {
  static constexpr std::string_view kName = "cosine_similarity";
  std::string name = "cosine_similarity";
  int64_t axis = -1;

  operator Metric() const;
};

}  // namespace metrics

using metrics::CosineSimilarity;

}  // namespace cohort::nn
