#pragma once

#include <functional>

#include "cohort/core/error.h"

namespace cohort::cluster {

/// What is said if this process ends while this lives: by exit(), by a return from main that leaves
/// static objects, or by std::terminate (an exception that nobody catches).
///
/// `say` runs once at most, on a thread of its own beside all that runs then, so it must be
/// thread-safe. The process waits a few seconds for it: whoever ends it may hold a lock (a signal's
/// handler that calls exit).
///
/// While there are such objects, the terminate handler is one that goes on to the handler before
/// it. A program that sets its own later has its own.
class LastWords {
 public:
  using Say = std::function<void(const Error& why)>;
  explicit LastWords(Say say);
  /// When it returns `say` is not running and will not run. On the main thread it does not return
  /// while another thread runs exit(): a return from main would be a second one.
  ~LastWords();
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;

 private:
  friend class ProcessEnd;
  Say say_;
};

}  // namespace cohort::cluster
