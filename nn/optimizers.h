#pragma once

/// Keras' optimizers: each is an aggregate of its options, in Keras' order with Keras' defaults,
/// which makes an Optimizer wherever one is wanted. Options that all have: OptimizerOptions. g is
/// the gradient, p the parameter, lr the rate, t the step from 1. What has a kName can be given by
/// it, too.
#include <cohort/made/optimizers.h>
