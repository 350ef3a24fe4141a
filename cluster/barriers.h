#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cohort/cluster/task.h"
#include "cohort/core/chrono.h"
#include "cohort/core/error.h"

namespace cohort::cluster {

using TimePoint = std::chrono::steady_clock::time_point;

/// How a wait ended: null, or the error; and a value, where there is one.
using Done = std::function<void(const Error* error, const std::string& value)>;

/// Calls collected under a lock, to be made without it: declare it before the lock.
class AfterUnlock {
 public:
  AfterUnlock() = default;
  ~AfterUnlock() {
    for (const auto& call : calls_) call();
  }
  AfterUnlock(const AfterUnlock&) = delete;
  AfterUnlock& operator=(const AfterUnlock&) = delete;

  void add(std::function<void()> call) { calls_.push_back(std::move(call)); }
  void finish(Done done, std::optional<Error> error = {}, std::string value = {});

 private:
  std::vector<std::function<void()>> calls_;  // they do not throw
};

/// The barriers of a cluster. A name holds a queue of rounds; a task enters the first round in
/// which it has not been. A round that all participants have entered has passed and is forgotten. A
/// round fails as a whole: at the first deadline of those inside, when participants differ, when a
/// task comes that is none of them, or when one of them leaves; it is kept until every participant
/// has come and got its error. Not thread-safe.
class Barriers {
 public:
  /// Shared by all who name the same ones: a barrier of W tasks costs each a look-up, not W.
  using Participants = std::shared_ptr<const std::set<Task>>;

  /// `participants` is not empty.
  void enter(const Task& caller, const std::string& name, Participants participants, TimePoint now,
             std::chrono::milliseconds timeout, Done done, AfterUnlock& after);
  /// Fails the rounds whose deadline has passed.
  void expire(TimePoint now, AfterUnlock& after);
  /// A line about each round that is `late_after` old, and who is missing; once for each round.
  std::vector<std::string> late(TimePoint now, std::chrono::milliseconds late_after);
  /// Moves every round's time by `time`, in which nobody could come.
  void postpone(TimePoint::duration time);
  /// Fails every round that waits for `task`, which has left.
  void remove(const Task& task, AfterUnlock& after);
  /// Fails all.
  void fail(const Error& error, AfterUnlock& after);

 private:
  struct Round {
    Participants participants;
    std::set<Task> entered;  ///< some of the participants, unless the round has failed
    std::vector<Done> waiting;
    TimePoint begin, deadline;
    std::optional<Error> error;
    bool told_late = false;
  };
  static std::string missing(const Round& round);
  static bool complete(const Round& round);
  static void fail_round(Round& round, const Error& error, AfterUnlock& after);

  std::map<std::string, std::list<Round>> rounds_;
};

/// "/job:worker/task:1, /job:worker/task:2"; at most 16, then how many more.
std::string task_list(const std::vector<Task>& tasks);

}  // namespace cohort::cluster
