#pragma once

#include <vector>

#include "cohort/core/runtime/communicator.h"

namespace cohort::distribute {

/// The ranks that give the same `color`, ascending. Collective, over host memory.
std::vector<int> ranks_of_color(Communicator& communicator, int color);

}  // namespace cohort::distribute
