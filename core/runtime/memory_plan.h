#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace cohort {

/// Of operands' addresses, but for inputs that a CPU reads where the program has them.
inline constexpr size_t kOperandAlignment = 64;
/// Of workspaces' addresses: cuBLASLt and cuDNN want it of theirs. Arenas begin so, too.
inline constexpr size_t kWorkspaceAlignment = 256;

/// A block of memory needed from schedule position `first` to `last`, both inclusive.
struct Interval {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
  size_t alignment = kOperandAlignment;  ///< a power of two
};

struct MemoryPlan {
  std::vector<size_t> offsets;  ///< one for each interval, multiples of its alignment
  size_t bytes = 0;             ///< of the whole arena
};

/// Places intervals so that those alive together do not overlap: largest first, each at the lowest
/// offset that is free for its whole life (greedy by size; Pisarchyk and Lee 2020).
MemoryPlan plan_memory(std::span<const Interval> intervals);

}  // namespace cohort
