#pragma once

#include <string>

#include "cohort/distribute/strategy.h"

namespace cohort {

/// Trains a model with a train_step, a loss and a metric of its own.
void fit_with_own_steps(const distribute::Strategy& strategy);
/// Trains with policy mixed_float16 on rows one of which is infinite, so that steps are skipped.
void fit_in_float16(const distribute::Strategy& strategy);
/// "wishes": what callbacks on one worker ask for, and when all workers do it.
/// "interrupted_wishes": training that a wish changes, interrupted as INTERRUPTION ("WORKER EPOCH
/// BATCH") says, between the wish and its effect. "dying_wish": the last worker asks to stop, and
/// dies.
void fit_with_wishes(const distribute::Strategy& strategy, const std::string& scenario);

}  // namespace cohort
