#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// Zeiler 2012: a = rho a + (1 - rho) g^2; d = -sqrt(s + epsilon) / sqrt(a + epsilon) g;
/// s = rho s + (1 - rho) d^2; p += lr d.
struct Adadelta {
  static constexpr std::string_view kName = "adadelta";
  LearningRate learning_rate = 0.001;
  double rho = 0.95;
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
  std::string name = "adadelta";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
