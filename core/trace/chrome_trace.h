#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/trace/recorder.h"

namespace cohort {

/// What one process of a job has recorded.
struct ProcessTrace {
  std::string name;  ///< "/job:worker/task:1"
  std::vector<TraceEvent> events;
  int64_t clock_ahead_ns = 0;  ///< of the first process' clock
};

/// The traces on one time line, in Chrome's trace event format (a JSON object with "traceEvents",
/// times in µs from the first event on): process i has pid i and each of its tracks a tid. A
/// collective is also one span from its start to the end of its wait: a pair of events "b" and "e"
/// named "bucket 3".
/// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
std::string to_chrome_json(std::span<const ProcessTrace> processes);

/// Events as bytes for another process, and back. Throws DataLoss for bytes that are none.
std::string pack_events(std::span<const TraceEvent> events);
std::vector<TraceEvent> unpack_events(std::string_view bytes);

/// Throws Unavailable naming the path and the system's reason.
void save_text(const std::string& path, const std::string& text);

}  // namespace cohort
