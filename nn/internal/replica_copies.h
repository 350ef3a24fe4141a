#pragma once

#include "cohort/core/graph/variable.h"

namespace cohort::nn::internal {

/// How often a variable's value has what one replica starts with, in the current strategy: as often
/// as there are replicas where each writes a copy of its own and these are summed, else once.
/// Throws InvalidArgument for a trainable variable that each replica writes.
int initial_copies(const VariableOptions& options);
Tensor multiplied(const Tensor& value, int times);

}  // namespace cohort::nn::internal
