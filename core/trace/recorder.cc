#include "cohort/core/trace/recorder.h"

namespace cohort {

void TraceRecorder::add(TraceEvent event, Clock::time_point begin, Clock::time_point end) {
  using std::chrono::nanoseconds;
  event.begin_ns = nanoseconds(begin.time_since_epoch()).count();
  event.duration_ns = nanoseconds(end - begin).count();
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(event));
}

std::vector<TraceEvent> TraceRecorder::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

}  // namespace cohort
