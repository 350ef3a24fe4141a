#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cohort/distribute/strategy.h"

namespace cohort::nn::internal {

/// When one worker entered and left one exchange of all workers, in ns of its own clock.
struct ExchangeTimes {
  int64_t entered = 0, left = 0;
};

/// How far `theirs` is ahead of `mine`. In each exchange each left after the other had entered, so
/// the difference lies between two bounds; the tightest of all exchanges are taken, and their
/// middle. Both have the same exchanges, one at least.
int64_t clock_ahead(std::span<const ExchangeTimes> theirs, std::span<const ExchangeTimes> mine);

/// By how many ns the steady clock of each worker is ahead of the chief's: 0 for those on its host,
/// who share it. Collective.
std::vector<int64_t> clock_offsets(distribute::Workers& workers);

}  // namespace cohort::nn::internal
