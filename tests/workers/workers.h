#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace cohort {

/// How one worker ended, and what it printed on both outputs.
struct WorkerResult {
  int exit_code = -1;
  int signal = 0;  ///< that ended it; 0: none
  std::string output;

  /// The rest of the line that begins with `name: `; fails the test when there is none.
  std::string value(std::string_view name) const;
  /// The same of all such lines, in order; there may be none.
  std::vector<std::string> values(std::string_view name) const;
};

/// The processes of a job of worker_program on this host, started as mpirun would. Those that are
/// left die with this.
class Workers {
 public:
  Workers(int num_workers, const std::vector<std::string>& arguments);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  void signal(int worker, int number);
  /// Reads what the workers print until `worker` has printed `text`; fails the test at the
  /// deadline.
  void wait_for(int worker, std::string_view text, std::chrono::seconds deadline);
  /// What it has printed so far, as far as it has been read.
  const std::string& output(int worker) const { return workers_[static_cast<size_t>(worker)].text; }
  /// Waits until all but `except` have ended; kills them and fails the test at the deadline.
  std::vector<WorkerResult> wait(std::chrono::seconds deadline, int except = -1);

 private:
  struct Worker {
    pid_t pid = -1;
    int output = -1;  ///< the read end of its outputs; -1: at its end
    std::string text;
  };

  /// Reads what is there; false when nothing came before the deadline.
  bool read_some(std::chrono::steady_clock::time_point deadline, int except);

  std::vector<Worker> workers_;
};

/// Runs a job to its end.
std::vector<WorkerResult> run_workers(int num_workers, const std::vector<std::string>& arguments);

}  // namespace cohort
