#pragma once

#include <string>
#include <vector>

#include "cohort/nn/saving/weights_format.h"

/// An optimizer's state in Keras' files of weights: the datasets "optimizer/vars/<i>".
namespace cohort::nn::internal {

/// A variable's place in a file.
struct OptimizerWeight {
  std::string path;
  Variable variable;
};

/// In Keras' order (3.15): iteration, learning_rate where it is not scheduled, averages,
/// accumulators, the slots of one variable after the other (RMSprop's: one slot of all variables
/// after the other), velocity_hats, then states that are numbers. What a LossScaleOptimizer scales
/// for has its own beside those.
std::vector<OptimizerWeight> optimizer_weights(const Optimizer& optimizer);
/// The group of attributes -> the name, for each group of them.
std::vector<std::pair<std::string, std::string>> optimizer_groups(const Optimizer& optimizer);

/// Takes the state from a file of weights, for a model with these trainable weights. Numbers of
/// another dtype (Keras counts in int32 on some back ends) are converted. InvalidArgument where
/// number or shapes of the variables are not the optimizer's; nothing has changed then.
void load_optimizer(const std::string& file, const Optimizer& optimizer,
                    const std::vector<Variable>& trainable);

}  // namespace cohort::nn::internal
