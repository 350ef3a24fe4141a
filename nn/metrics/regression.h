#pragma once

#include "cohort/nn/metrics/mean.h"

namespace cohort::nn {
namespace metrics {

/// The mean of |y_true - y_pred|; also called "mae".
struct MeanAbsoluteError {
  static constexpr std::string_view kName = "mean_absolute_error";
  std::string name = "mean_absolute_error";

  operator Metric() const;
};

/// The mean of (y_true - y_pred)^2; also called "mse".
struct MeanSquaredError {
  static constexpr std::string_view kName = "mean_squared_error";
  std::string name = "mean_squared_error";

  operator Metric() const;
};

/// The square root of the mean of (y_true - y_pred)^2.
struct RootMeanSquaredError {
  static constexpr std::string_view kName = "root_mean_squared_error";
  std::string name = "root_mean_squared_error";

  operator Metric() const;
};

}  // namespace metrics

using metrics::RootMeanSquaredError;

}  // namespace cohort::nn
