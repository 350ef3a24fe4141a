#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// v = rho v + (1 - rho) g^2; p -= lr g / sqrt(v + epsilon). With momentum the steps are
/// m = momentum m + lr g / …; p -= m. With centered the square of a moving average of g is taken
/// from v.
struct RMSprop {
  static constexpr std::string_view kName = "rmsprop";
  LearningRate learning_rate = 0.001;
  double rho = 0.9;
  double momentum = 0.0;
  double epsilon = 1e-7;
  bool centered = false;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency = {};
  std::optional<double> loss_scale_factor = {};
  std::optional<int64_t> gradient_accumulation_steps = {};
  std::string name = "rmsprop";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
