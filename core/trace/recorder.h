#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

namespace cohort {

class Node;

/// Collects when each node ran, for a Chrome or Perfetto trace. Thread-safe. Recording allocates;
/// it is meant for looking at a few steps.
class TraceRecorder {
 public:
  TraceRecorder() : start_(std::chrono::steady_clock::now()) {}

  /// Times its own life as one run of `node` (null: a transfer or a wait).
  class Span {
   public:
    Span(TraceRecorder& recorder, const Node* node);
    ~Span();
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    TraceRecorder& recorder_;
    const Node* node_;
    std::chrono::steady_clock::time_point begin_;
  };

  struct Event {
    std::string name;  ///< the node's full name
    std::string op;
    size_t thread;
    double begin_us;  ///< since the recorder was made
    double duration_us;
  };
  std::vector<Event> events() const;

  /// The events in Chrome's trace event format (JSON object with "traceEvents"), times in µs.
  std::string to_chrome_json() const;
  /// Writes to_chrome_json() to `path`; throws Unavailable naming the path and the system's reason.
  void save(const std::string& path) const;

 private:
  void add(const Node* node, std::chrono::steady_clock::time_point begin,
           std::chrono::steady_clock::time_point end);

  std::chrono::steady_clock::time_point start_;
  mutable std::mutex mutex_;
  std::vector<Event> events_;  // guarded by mutex_
};

}  // namespace cohort
