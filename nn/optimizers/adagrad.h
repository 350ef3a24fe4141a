#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// Duchi et al. 2011: a += g^2; p -= lr g / sqrt(a + epsilon).
struct Adagrad {
  static constexpr std::string_view kName = "adagrad";
  LearningRate learning_rate = 0.001;
  double initial_accumulator_value = 0.1;
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
  std::string name = "adagrad";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
