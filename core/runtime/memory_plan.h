#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace cohort {

/// A block of memory needed from schedule position `first` to `last`, both inclusive.
struct Interval {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  std::vector<size_t> offsets;  ///< one for each interval, multiples of 64
  size_t bytes = 0;             ///< of the whole arena
};

/// Places intervals so that those alive together do not overlap: largest first, each at the lowest
/// offset that is free for its whole life (greedy by size; Pisarchyk and Lee 2020).
MemoryPlan plan_memory(std::span<const Interval> intervals);

}  // namespace cohort
