#include "cohort/nn/loss_scale.h"
#include "cohort/nn/optimizers.h"

namespace cohort::nn {

LossScaleOptimizer::operator Optimizer() const {
  inner_optimizer->set_loss_scale(
      std::make_shared<LossScale>(name, initial_scale, dynamic_growth_steps));
  return inner_optimizer;
}

}  // namespace cohort::nn
