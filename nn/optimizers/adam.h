#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// Kingma & Ba 2015: m += (g - m)(1 - beta_1); v += (g^2 - v)(1 - beta_2);
/// p -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon). With amsgrad the largest v
/// so far takes v's place.
struct Adam {
  static constexpr std::string_view kName = "adam";
  LearningRate learning_rate = 0.001;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  bool amsgrad = false;
  std::optional<double> weight_decay = {};
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency = {};
  std::optional<double> loss_scale_factor = {};
  std::optional<int64_t> gradient_accumulation_steps = {};
  std::string name = "adam";
  bool lazy_rows = false;

  operator Optimizer() const;
};

/// Loshchilov & Hutter 2019: Adam whose weights decay.
struct AdamW {
  static constexpr std::string_view kName = "adamw";
  LearningRate learning_rate = 0.001;
  std::optional<double> weight_decay = 0.004;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  bool amsgrad = false;
  std::optional<double> clipnorm = {};
  std::optional<double> clipvalue = {};
  std::optional<double> global_clipnorm = {};
  bool use_ema = false;
  double ema_momentum = 0.99;
  std::optional<int64_t> ema_overwrite_frequency = {};
  std::optional<double> loss_scale_factor = {};
  std::optional<int64_t> gradient_accumulation_steps = {};
  std::string name = "adamw";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
