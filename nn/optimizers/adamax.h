#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// Kingma & Ba 2015, section 7: m += (g - m)(1 - beta_1); u = max(beta_2 u, |g|);
/// p -= lr / (1 - beta_1^t) m / (u + epsilon).
struct Adamax {
  static constexpr std::string_view kName = "adamax";
  LearningRate learning_rate = 0.001;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency = {};
  std::optional<double> loss_scale_factor = {};
  std::optional<int64_t> gradient_accumulation_steps = {};
  std::string name = "adamax";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
