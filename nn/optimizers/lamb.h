#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// You et al. 2020: Adam's step, scaled for each variable by |p| / |step|.
struct Lamb {
  static constexpr std::string_view kName = "lamb";
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
  std::string name = "lamb";
  bool lazy_rows = false;

  operator Optimizer() const;
};

}  // namespace cohort::nn
