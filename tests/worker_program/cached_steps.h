#pragma once

#include "cohort/cohort.h"

/// Runs sixteen functions, which the strategy keeps, and says how many descriptors this process
/// holds after the first and after the last.
void cached_steps(const cohort::distribute::Strategy& strategy);
