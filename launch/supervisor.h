#pragma once

#include <signal.h>

#include <list>
#include <optional>
#include <vector>

#include "cohort/core/chrono.h"

#include "launch/child.h"
#include "launch/input_relay.h"
#include "launch/keeper.h"

namespace cohort::launch {

struct SupervisorOptions {
  /// From a worker's failure: the others may end by themselves, and say what they know, for so
  /// long, then they are asked to end.
  std::chrono::milliseconds failure_patience = std::chrono::seconds(1);
  /// From then: they are killed after this.
  std::chrono::milliseconds failure_grace = std::chrono::seconds(2);
  /// The same after a signal that the user sent: time to write a checkpoint.
  std::chrono::milliseconds signal_grace = std::chrono::seconds(30);
};

struct Outcome {
  int code = 0;              // of the worker that the failure began with; 0: none failed
  bool interrupted = false;  // a signal asked the job to end
};

/// Runs the workers of a job until all have ended. When one fails (ends with a code other than 0),
/// the worker that the failure began with is named as the job's error (launch/verdict.h) and the
/// others are ended, their children too.
///
/// SIGINT, SIGTERM and SIGHUP are passed on; a second one kills. SIGUSR1 and SIGUSR2 are passed on
/// and mean what the workers make of them. SIGTSTP stops the workers, then the launcher, and
/// SIGCONT lets them go on. A signal that was ignored at the start stays so. Blocks those signals,
/// SIGCHLD and SIGPIPE in the calling thread, which must be the process' only one.
class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options = {});

  /// Throws ResourceExhausted when a process cannot be started; those that were are killed.
  Outcome run(const std::vector<Process>& processes);

 private:
  using Clock = std::chrono::steady_clock;

  void start(const std::vector<Process>& processes);
  void wait_for_events();
  void relay_input(const pollfd& ready);
  void read_signals();
  void pass_on(int signal);
  void suspend();
  void reap();
  void keep_time();
  void decide();
  int exit_code() const;
  void signal_all(int signal);
  void flush();
  void say(const std::string& line);
  bool any_running() const;
  std::vector<WorkerEnd> ends() const;

  SupervisorOptions options_;
  Descriptor signals_;
  Keeper keeper_;
  Sink out_{1}, err_{2};
  InputRelay input_;
  std::list<Child> children_;
  std::optional<WorkerEnd> first_failure_;
  std::optional<size_t> culprit_;         // by position, once it has been named
  std::optional<Ending> culprit_ending_;  // if it had ended by then
  std::optional<int> signal_;             // that was passed on
  std::optional<Clock::time_point> decide_at_;
  std::optional<Clock::time_point> kill_at_;
  Clock::time_point last_look_{};
};

}  // namespace cohort::launch
