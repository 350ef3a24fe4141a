#pragma once

#include <signal.h>

#include <chrono>
#include <list>
#include <optional>
#include <vector>

#include "launch/child.h"
#include "launch/keeper.h"

namespace cohort::launch {

struct SupervisorOptions {
  /// From a worker's failure: the others are asked to end, and killed after this.
  std::chrono::milliseconds failure_grace = std::chrono::seconds(2);
  /// The same after a signal that the user sent: time to write a checkpoint.
  std::chrono::milliseconds signal_grace = std::chrono::seconds(30);
};

struct Outcome {
  int code = 0;              // of the first worker that failed; 0: none did
  bool interrupted = false;  // a signal asked the job to end
};

/// Runs the workers of a job until all have ended. When one fails (ends with a code other than 0),
/// its last lines are printed as the job's error and the others are ended, their children too.
/// SIGINT, SIGTERM and SIGHUP are passed on; a second one kills. Blocks those signals, SIGCHLD and
/// SIGPIPE in the calling thread, which must be the process' only one.
class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options = {});

  /// Throws ResourceExhausted when a process cannot be started; those that were are killed.
  Outcome run(const std::vector<Process>& processes);

 private:
  using Clock = std::chrono::steady_clock;

  void start(const std::vector<Process>& processes);
  void wait_for_events();
  void read_signals();
  void reap();
  void fail(const Child& child, const Ending& ending);
  void signal_all(int signal);
  void flush();
  void say(const std::string& line);
  bool any_running() const;

  SupervisorOptions options_;
  Descriptor signals_;
  Keeper keeper_;
  Sink out_{1}, err_{2};
  std::list<Child> children_;
  std::optional<Ending> failure_;  // the first
  std::optional<int> signal_;      // that was passed on
  std::optional<Clock::time_point> kill_at_;
};

}  // namespace cohort::launch
