#pragma once

#include <optional>

#include "cohort/nn/metric.h"

namespace cohort::nn {
namespace metrics {

/// The mean over classes of intersection / union: of how often a class is both label and
/// prediction, and how often it is either. Classes that are neither do not count, nor do numbers
/// that are no class. Keras cuts weights to whole numbers; here they count as they are.
struct MeanIoU {
  int64_t num_classes;
  std::string name = "mean_io_u";
  std::optional<int64_t> ignore_class = {};  ///< labels that do not count
  bool sparse_y_true = true;  ///< class numbers; false: scores, whose largest is the class
  bool sparse_y_pred = true;
  int64_t axis = -1;  ///< of the scores

  operator Metric() const;
};

}  // namespace metrics

using metrics::MeanIoU;

}  // namespace cohort::nn
