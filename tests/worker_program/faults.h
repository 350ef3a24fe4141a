#pragma once

#include <string>

#include "cohort/cohort.h"

// What befalls a worker while it trains.

/// Dies or stands still at its fourth step.
cohort::nn::Callback raising(int signal);
/// Never comes back from its fourth step.
cohort::nn::Callback stuck();
/// Says when the first step is made, and when one comes a while after another: this process was
/// stopped in between.
cohort::nn::Callback first_step();
/// How a step, or the end of an epoch, fails.
cohort::nn::Callback failing(const std::string& scenario);
