#pragma once

#include "cohort/nn/metrics/mean.h"

namespace cohort::nn {
namespace metrics {

struct MeanAbsoluteErrorOptions {
  std::string name = "mean_absolute_error";
};
/// The mean of |y_true - y_pred|; also called "mae".
struct MeanAbsoluteError : Metric {
  static constexpr std::string_view kName = "mean_absolute_error";
  explicit MeanAbsoluteError(MeanAbsoluteErrorOptions options = {});
};

struct MeanSquaredErrorOptions {
  std::string name = "mean_squared_error";
};
/// The mean of (y_true - y_pred)^2; also called "mse".
struct MeanSquaredError : Metric {
  static constexpr std::string_view kName = "mean_squared_error";
  explicit MeanSquaredError(MeanSquaredErrorOptions options = {});
};

struct RootMeanSquaredErrorOptions {
  std::string name = "root_mean_squared_error";
};
/// The square root of the mean of (y_true - y_pred)^2.
struct RootMeanSquaredError : Metric {
  static constexpr std::string_view kName = "root_mean_squared_error";
  explicit RootMeanSquaredError(RootMeanSquaredErrorOptions options = {});
};

}  // namespace metrics

using metrics::RootMeanSquaredError;

}  // namespace cohort::nn
