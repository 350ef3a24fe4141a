#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "cohort/core/chrono.h"

namespace cohort {

/// Something that took time, for a trace.
struct TraceEvent {
  enum class Kind { kSpan, kStart, kWait };  ///< the latter two: the ends of a collective

  std::string track;  ///< the device or thread: "/device:CPU:0"
  std::string name;   ///< the node's full name
  std::string op;
  Kind kind = Kind::kSpan;
  int64_t bucket = -1;   ///< of a collective
  int64_t begin_ns = 0;  ///< of the steady clock
  int64_t duration_ns = 0;
};

/// Collects when each node ran, for a Chrome or Perfetto trace. Thread-safe. Recording allocates;
/// it is meant for looking at a few steps.
class TraceRecorder {
 public:
  using Clock = std::chrono::steady_clock;

  /// Times its own life as `event`.
  class Span {
   public:
    Span(TraceRecorder& recorder, TraceEvent event)
        : recorder_(recorder), event_(std::move(event)), begin_(Clock::now()) {}
    ~Span() { recorder_.add(std::move(event_), begin_, Clock::now()); }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    TraceRecorder& recorder_;
    TraceEvent event_;
    Clock::time_point begin_;
  };

  void add(TraceEvent event, Clock::time_point begin, Clock::time_point end);
  std::vector<TraceEvent> events() const;

 private:
  mutable std::mutex mutex_;
  std::vector<TraceEvent> events_;  // guarded by mutex_
};

}  // namespace cohort
