#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// Without momentum p -= lr g. Otherwise m = momentum m - lr g; p += m, or with nesterov
/// p += momentum m - lr g.
struct SGD {
  static constexpr std::string_view kName = "sgd";
  LearningRate learning_rate = 0.01;
  double momentum = 0.0;
  bool nesterov = false;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency = {};
  std::optional<double> loss_scale_factor = {};
  std::optional<int64_t> gradient_accumulation_steps = {};
  std::string name = "SGD";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
