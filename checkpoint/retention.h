#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Which checkpoints stay. Arithmetic alone: it removes nothing.
namespace cohort::checkpoint {

enum class Better { kSmaller, kLarger };

struct RetentionOptions {
  std::optional<int> max_to_keep = 5;  ///< the newest; absent: all
  /// Besides: one for every so many hours, counted from the oldest. Absent: none.
  std::optional<double> keep_every_n_hours = {};
  int keep_best = 0;  ///< besides: so many, by their metric
  Better better = Better::kSmaller;
};

struct SavedStep {
  uint64_t step = 0;
  uint64_t created_ms = 0;
  std::optional<double> metric = {};  ///< absent, or no number: never among the best
};

/// Throws InvalidArgument for negative numbers, or fewer than 1 to keep.
void check(const RetentionOptions& options);
/// The steps to be removed, ascending. The newest is never among them.
std::vector<uint64_t> steps_to_remove(std::vector<SavedStep> steps,
                                      const RetentionOptions& options);

}  // namespace cohort::checkpoint
