#pragma once

#include "cohort/nn/optimizer.h"

namespace cohort::nn {

/// Scales losses dynamically for another optimizer, lest gradients of float16 come to 0, as
/// compile() makes of the optimizer of a model with policy "mixed_float16": LossScale. The handle
/// is that of inner_optimizer, which has the scale from then on; its own loss_scale_factor no
/// longer counts.
struct LossScaleOptimizer {
  Optimizer inner_optimizer;
  double initial_scale = 32768.0;
  int64_t dynamic_growth_steps = 2000;
  std::string name = "loss_scale_optimizer";

  operator Optimizer() const;
};

}  // namespace cohort::nn
