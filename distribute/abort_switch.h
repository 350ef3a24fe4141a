#pragma once

#include <mutex>
#include <optional>
#include <set>

#include "cohort/core/runtime/communicator.h"

namespace cohort::distribute {

/// Ends the waits of many communicators at once, from any thread.
class AbortSwitch {
 public:
  /// A communicator is in the switch while this lives.
  class Entry {
   public:
    Entry(AbortSwitch& owner, Communicator& communicator);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    AbortSwitch& owner_;
    Communicator& communicator_;
  };

  /// Aborts all communicators with `error`, and those that come later.
  void fail(const Error& error);

 private:
  std::mutex mutex_;
  std::set<Communicator*> communicators_;  // guarded by mutex_
  std::optional<Error> error_;             // guarded by mutex_
};

}  // namespace cohort::distribute
