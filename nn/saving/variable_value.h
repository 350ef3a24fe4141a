#pragma once

#include <memory>

#include "cohort/core/graph/variable.h"

namespace cohort::nn::internal {

/// SavedValue::value of a variable: a save that goes on beside training asks it for more than the
/// value.
struct VariableValue {
  std::shared_ptr<VariableState> state;
  Tensor operator()() const { return state->value(); }
};

}  // namespace cohort::nn::internal
