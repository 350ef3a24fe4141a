#pragma once

#include "cohort/distribute/strategy.h"

namespace cohort {

/// Trains a model with a train_step, a loss and a metric of its own.
void fit_with_own_steps(const distribute::Strategy& strategy);
/// Trains with policy mixed_float16 on rows one of which is infinite, so that steps are skipped.
void fit_in_float16(const distribute::Strategy& strategy);

}  // namespace cohort
