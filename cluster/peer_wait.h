#pragma once

#include <poll.h>

#include <functional>
#include <span>
#include <string>

#include "cohort/cluster/key_value_store.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

struct PeerWaitOptions {
  KeyValueStore* store = nullptr;  ///< of the job, whose failure ends the wait
  std::string where;               ///< begins every message: "shared memory group"
  std::chrono::milliseconds timeout{};
  std::chrono::milliseconds report_after = std::chrono::seconds(10);
  std::chrono::milliseconds report_every = std::chrono::seconds(5);
  /// Gets a line for people; none: standard error.
  std::function<void(const std::string& line)> log = {};
};

/// How a thread waits for other tasks, the same everywhere: it hears at once of the job's failure,
/// says after a while whom it waits for, and ends at the deadline with their names. One thread uses
/// it. Holds one descriptor.
class PeerWait {
 public:
  /// Whom, and why they are not there: words that follow "waits for".
  using Awaited = std::function<std::string()>;

  /// Throws ResourceExhausted naming the limit when there is no descriptor.
  explicit PeerWait(PeerWaitOptions options);
  ~PeerWait();
  PeerWait(const PeerWait&) = delete;
  PeerWait& operator=(const PeerWait&) = delete;

  /// Throws what the job has failed with, or DeadlineExceeded naming the awaited when time is up.
  /// Reports when it is time for that.
  void check(const Awaited& awaited);
  /// check(), then sleeps until one of `events` is ready (their `revents` tell), the job fails, or
  /// it is time for the next check; `longest` at most.
  void poll(std::span<pollfd> events, const Awaited& awaited,
            std::chrono::milliseconds longest = std::chrono::hours(1));
  /// A value of the store, which the awaited insert.
  std::string get(const std::string& key, const Awaited& awaited);

  /// A peer has gone: throws what the job fails with because of that, which says more, or `error`
  /// if nothing comes in two seconds.
  [[noreturn]] void give_up(const Error& error);

  std::chrono::milliseconds left() const;
  bool is_over() const { return left().count() == 0; }

 private:
  using Clock = std::chrono::steady_clock;

  std::chrono::milliseconds until_check() const;
  /// Polls `events` and the bell.
  void sleep(std::span<pollfd> events, std::chrono::milliseconds longest);

  const PeerWaitOptions options_;
  const Clock::time_point begin_;
  Clock::time_point next_report_;
  int bell_ = -1;  ///< an eventfd that the job's failure makes readable
  int watch_ = 0;
};

}  // namespace cohort::cluster
