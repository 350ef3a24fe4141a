#pragma once

#include <string>
#include <vector>

#include "cohort/cohort.h"

namespace cohort::testing {

/// Models whose weights Keras and Cohort exchange; tests/golden/keras_weight_models.py has them in
/// Keras. "sequential", "functional", "nested", "subclassed"; built.
nn::Model make_weight_model(const std::string& name);
/// What they predict from.
std::vector<Tensor> weight_model_inputs(const std::string& name);

}  // namespace cohort::testing
