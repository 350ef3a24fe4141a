#include "cohort/checkpoint/retention.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "cohort/core/error.h"

namespace cohort::checkpoint {
namespace {

constexpr double kMillisecondsPerHour = 3'600'000;

void keep_best(std::vector<SavedStep> steps, const RetentionOptions& options,
               std::set<uint64_t>& kept) {
  std::erase_if(steps, [](const SavedStep& s) { return !s.metric || std::isnan(*s.metric); });
  // Of equals the older is the best, as a callback that watches a metric has it.
  std::stable_sort(steps.begin(), steps.end(), [&](const SavedStep& a, const SavedStep& b) {
    return options.better == Better::kSmaller ? *a.metric < *b.metric : *a.metric > *b.metric;
  });
  const auto count = std::min(steps.size(), static_cast<size_t>(options.keep_best));
  for (size_t i = 0; i < count; ++i) kept.insert(steps[i].step);
}

void keep_hourly(const std::vector<SavedStep>& steps, double hours, std::set<uint64_t>& kept) {
  std::optional<uint64_t> last;
  for (const SavedStep& step : steps) {
    const bool is_due =
        !last || (step.created_ms > *last &&
                  static_cast<double>(step.created_ms - *last) >= hours * kMillisecondsPerHour);
    if (!is_due) continue;
    kept.insert(step.step);
    last = step.created_ms;
  }
}

}  // namespace

void check(const RetentionOptions& options) {
  if (options.max_to_keep && *options.max_to_keep < 1)
    throw InvalidArgument("checkpoints: got max_to_keep {}; want 1 or more, or none: all",
                          *options.max_to_keep);
  if (options.keep_every_n_hours && !(*options.keep_every_n_hours > 0))
    throw InvalidArgument("checkpoints: got keep_every_n_hours {}; want more than 0, or none",
                          *options.keep_every_n_hours);
  if (options.keep_best < 0)
    throw InvalidArgument("checkpoints: got keep_best {}; want 0 or more", options.keep_best);
}

std::vector<uint64_t> steps_to_remove(std::vector<SavedStep> steps,
                                      const RetentionOptions& options) {
  std::sort(steps.begin(), steps.end(),
            [](const SavedStep& a, const SavedStep& b) { return a.step < b.step; });
  if (!options.max_to_keep || steps.empty()) return {};
  std::set<uint64_t> kept;
  const auto newest = std::min(steps.size(), static_cast<size_t>(*options.max_to_keep));
  for (size_t i = steps.size() - newest; i < steps.size(); ++i) kept.insert(steps[i].step);
  if (options.keep_every_n_hours) keep_hourly(steps, *options.keep_every_n_hours, kept);
  if (options.keep_best > 0) keep_best(steps, options, kept);
  std::vector<uint64_t> removed;
  for (const SavedStep& step : steps)
    if (!kept.contains(step.step)) removed.push_back(step.step);
  return removed;
}

}  // namespace cohort::checkpoint
