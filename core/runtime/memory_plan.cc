#include "cohort/core/runtime/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace cohort {
namespace {

size_t aligned_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

MemoryPlan plan_memory(std::span<const Interval> intervals) {
  std::vector<size_t> by_size(intervals.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return intervals[a].bytes > intervals[b].bytes; });

  MemoryPlan plan;
  plan.offsets.assign(intervals.size(), 0);
  std::vector<size_t> placed;  // by offset
  for (const size_t index : by_size) {
    const Interval& interval = intervals[index];
    size_t offset = 0;
    for (const size_t other : placed) {
      const Interval& neighbour = intervals[other];
      if (neighbour.last < interval.first || interval.last < neighbour.first) continue;
      if (offset + interval.bytes <= plan.offsets[other]) break;
      offset =
          std::max(offset, aligned_up(plan.offsets[other] + neighbour.bytes, interval.alignment));
    }
    plan.offsets[index] = offset;
    plan.bytes = std::max(plan.bytes, aligned_up(offset + interval.bytes, kOperandAlignment));
    const auto position =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [&](size_t o, size_t other) { return o < plan.offsets[other]; });
    placed.insert(position, index);
  }
  return plan;
}

}  // namespace cohort
