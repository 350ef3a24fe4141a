#include "cohort/distribute/step_recording.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "cohort/core/runtime/recently_used.h"
#include "cohort/core/terminal.h"

namespace cohort::distribute {
namespace {

bool is_on(const char* variable) {
  const char* value = std::getenv(variable);
  return value && std::string_view(value) == "1";
}

/// "recorded", or why not.
std::string report_of(std::span<const RecordingOutcome> outcomes) {
  for (const RecordingOutcome& outcome : outcomes)
    if (!outcome.recorded) return outcome.reason;
  return "recorded";
}

}  // namespace

StepRecording::StepRecording(Workers& workers)
    : workers_(workers), compares_(workers.count() > 1 && is_on("COHORT_CHECK_RANKS")) {}

bool StepRecording::may_record(std::span<const int64_t> numbers) const {
  return !given_up_ && std::any_of(seen_.begin(), seen_.end(), [&](const auto& seen) {
    return std::equal(seen.begin(), seen.end(), numbers.begin(), numbers.end());
  });
}

bool StepRecording::all_recorded(std::span<const RecordingOutcome> mine) {
  const auto reports = workers_.all_gather("recording", report_of(mine));
  for (size_t worker = 0; worker < reports.size(); ++worker) {
    if (reports[worker] == "recorded") continue;
    given_up_ = true;
    if (reports[worker].empty()) continue;
    say(stderr, fmt::format("{}: the step cannot be recorded and runs kernel by kernel: {}\n",
                            workers_.name_of(static_cast<int>(worker)), reports[worker]));
    break;
  }
  return !given_up_;
}

void StepRecording::note_run(std::span<const int64_t> numbers, bool replayed) {
  if (compares_)
    workers_.check_equal("how a step runs",
                         fmt::format("{} with {}", replayed ? "recorded" : "kernel by kernel",
                                     fmt::join(numbers, " ")));
  const auto known = std::find_if(seen_.begin(), seen_.end(), [&](const auto& seen) {
    return std::equal(seen.begin(), seen.end(), numbers.begin(), numbers.end());
  });
  if (known != seen_.end()) {
    seen_.splice(seen_.begin(), seen_, known);
    return;
  }
  if (seen_.size() >= CacheLimits{}.least) seen_.pop_back();
  seen_.emplace_front(numbers.begin(), numbers.end());
}

}  // namespace cohort::distribute
