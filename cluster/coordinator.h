#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/barriers.h"
#include "cohort/cluster/message.h"
#include "cohort/cluster/wait_graph.h"

namespace cohort::cluster {

/// What the leader of a cluster knows and decides: who has come, who lives, who waits for what. It
/// has no thread, no clock and no connection of its own: those around it call it, tick() above all.
/// Waits end by calling their Done, without any lock held, from whichever call ends them, this one
/// included. The first failure is the cluster's for ever: it ends every wait, and later calls get
/// it at once. Thread-safe.
class Coordinator {
 public:
  struct Options {
    std::vector<Task> tasks;
    std::vector<std::string> addresses;  ///< of the tasks, for messages; may be empty
    std::string job_id;
    std::string version;
    std::chrono::milliseconds heartbeat_interval{1000};
    std::chrono::milliseconds dead_after{5000};
    std::chrono::milliseconds late_after{10'000};
    /// Gets a line for people about every barrier, and about the good-byes, that have waited for
    /// late_after; may be none.
    std::function<void(const std::string& line)> warn;
    std::function<TimePoint()> now = [] { return std::chrono::steady_clock::now(); };
  };
  /// Told once each, without a lock held; `failed` may come without `started` before it.
  struct Listener {
    std::function<void()> started;
    std::function<void(const Error&)> failed;
    bool far = false;  ///< in another process, so that `failed` only sends
  };
  struct Missing {
    Task task;
    std::string address;
    std::string why;  ///< what note() said, or whom the leader last sent away from this seat
  };

  static constexpr size_t kMostNamed = 16;  ///< of the missing, in missing_text()

  explicit Coordinator(Options options);

  /// Gives a task its seat. Throws InvalidArgument for a process of another job, who is told
  /// nothing of this one, or a task that is none of this cluster's; Aborted when the cluster has
  /// failed before this task came for the first time, Unavailable when it comes again or the
  /// cluster has finished; AlreadyExists, naming the first one's place, for a task that is here
  /// already; FailedPrecondition for another version; and Aborted, on every task, when the one that
  /// is here has been silent for two heartbeats: it was restarted. All but the last concern the
  /// newcomer alone. What he says of himself is shown clipped and printable.
  void register_task(const Registration& newcomer, Listener listener);
  /// Throws InvalidArgument for a task without a seat, Aborted, which fails the cluster, for
  /// another incarnation than the one registered, or the cluster's error. `waits`: what the task
  /// has waited for a while; a circle of them fails the cluster with FailedPrecondition. `calls`:
  /// how many calls of all tasks it has entered; more than a task made that has left fails the
  /// cluster likewise, for that one will not come.
  void heartbeat(const Task& task, uint64_t incarnation, std::vector<Wait> waits = {},
                 uint64_t calls = 0);
  /// The task's connection has ended; unless it had left, that is its death: Unavailable.
  void disconnect(const Task& task, uint64_t incarnation, const std::string& reason);
  /// Fails the cluster with `error`, the task's name before it.
  void report_error(const Task& task, const Error& error);
  /// Nothing when all tasks have left.
  void fail(const Error& error);
  std::optional<Error> error() const;
  /// Waits, `timeout` at most, until every far task of a failed cluster has ended its connection,
  /// which it does when it has heard of the failure.
  void await_told(std::chrono::milliseconds timeout);
  /// Every task has had its seat, or has come after the failure and was told.
  bool all_told() const;

  bool started() const;  ///< every task has its seat
  std::vector<Missing> missing() const;
  /// "2 of 4 tasks are missing: /job:worker/task:2 at w2:2222 (connection refused), …"; empty when
  /// none is.
  std::string missing_text() const;
  /// Why a missing task may not have come. What the leader saw of it goes before.
  void note(const Task& task, const std::string& why);
  /// Somebody at `peer` came as `task`, without the job's secret. Nothing if that is no task here.
  void refused(const Task& task, const std::string& peer);

  /// `participants` empty: all tasks. See Membership::barrier and Barriers.
  void barrier(const Task& caller, const std::string& name, std::vector<Task> participants,
               std::chrono::milliseconds timeout, Done done);
  void insert(const std::string& key, const std::string& value);
  void get(const std::string& key, std::chrono::milliseconds timeout, Done done);
  std::optional<std::string> try_get(const std::string& key) const;
  /// Ends when all tasks have left, or with DeadlineExceeded naming who has not. From now on the
  /// task's end is no death. `calls` as for heartbeat.
  void leave(const Task& task, std::chrono::milliseconds timeout, Done done, uint64_t calls = 0);

  /// Finds dead tasks and passed deadlines. To be called a few times in a heartbeat's time. When
  /// it was not called for a while, this process was stopped, as when a whole job is suspended:
  /// that time counts for nobody's silence and for no deadline. Tasks that were not stopped have
  /// given the leader up meanwhile, and end the cluster by going.
  void tick();

 private:
  enum class State { kEmpty, kHere, kLeft };
  struct Seat {
    State state = State::kEmpty;
    uint64_t incarnation = 0;
    std::string place;
    TimePoint last_beat;
    Listener listener;
    std::string turned_away;
    std::string note;
    uint64_t calls = 0;
    bool told = false;  ///< came after the failure and knows it
  };
  struct Call {
    TimePoint begin, deadline;
    Done done;
  };

  Seat& seat(const Task& task);
  void check_newcomer(Seat& seat, const Registration& registration, AfterUnlock& after);
  void fail_locked(const Error& error, AfterUnlock& after);
  [[noreturn]] void refuse_late(Seat& seat, const Registration& newcomer) const;
  void throw_if_failed() const;
  void expire_waits(TimePoint now, AfterUnlock& after);
  void warn_of_leaving(TimePoint now, AfterUnlock& after);
  void find_circle(TimePoint now, AfterUnlock& after);
  void account_for_stop(TimePoint now);
  std::string after_stop() const;
  void check_calls(AfterUnlock& after);
  std::vector<Task> not_left() const;
  bool all_left() const { return num_left_ == seats_.size(); }

  const Options options_;
  mutable std::mutex mutex_;
  std::map<Task, Seat> seats_;  // guarded by mutex_, as all below
  size_t num_here_ = 0;         // seats taken so far
  size_t num_left_ = 0;
  Barriers::Participants everyone_;
  Barriers barriers_;
  std::map<std::string, std::string> values_;
  std::multimap<std::string, Call> getting_;  // by key
  std::vector<Call> leaving_;
  bool warned_of_leaving_ = false;
  WaitGraph waiting_;
  TimePoint next_circle_check_{};
  std::optional<TimePoint> last_tick_;
  TimePoint::duration last_stop_{0};  ///< the last long one, and when it ended
  TimePoint last_stop_end_{};
  std::condition_variable disconnected_;
  std::optional<Error> error_;
};

}  // namespace cohort::cluster
