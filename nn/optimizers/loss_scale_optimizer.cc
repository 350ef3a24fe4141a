#include "cohort/nn/optimizers/loss_scale_optimizer.h"

#include "cohort/nn/loss_scale.h"

namespace cohort::nn {

LossScaleOptimizer::operator Optimizer() const {
  inner_optimizer->set_loss_scale(
      std::make_shared<LossScale>(name, initial_scale, dynamic_growth_steps));
  return inner_optimizer;
}

}  // namespace cohort::nn
