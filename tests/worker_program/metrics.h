#pragma once

#include "cohort/distribute/strategy.h"

namespace cohort {

/// Trains and evaluates with metrics whose states are tensors, with sample weights.
void fit_with_metrics(const distribute::Strategy& strategy);

}  // namespace cohort
