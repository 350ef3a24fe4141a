#pragma once

#include "cohort/distribute/strategy.h"

namespace cohort {

/// Reference cases RED-01 … GAT-04 of several workers.
void reduce_values(const distribute::Strategy& strategy);
/// Reference cases VAR-07 … VAR-09: variables that each replica writes.
void read_copies(const distribute::Strategy& strategy);

}  // namespace cohort
