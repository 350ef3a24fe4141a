#pragma once

#include "cohort/nn/layer.h"
#include "tests/support/gradient_check.h"

namespace cohort::testing {

/// check_gradients for a layer that computes in f64 (`.dtype = DType::kF64`), called on random
/// inputs of `shape`, whose dimension 0 is the batch: those of the inputs and of every trainable
/// weight, which gets random values.
void check_layer_gradients(const nn::Layer& layer, const Shape& shape, bool training = false,
                           GradientCheck options = {});

}  // namespace cohort::testing
