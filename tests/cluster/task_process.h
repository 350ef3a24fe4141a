#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace cohort::cluster {

/// What a task process does; see run_task().
struct TaskPlan {
  int num_tasks = 2;
  int self = 0;
  std::string coordinator = "localhost:0";
  /// After the start. "leave": a barrier, then leave. "wait": wait for a key that never comes.
  /// "report": report an error, then wait.
  std::string then = "leave";
  std::string job_id = "job";
  std::string version = "1";
  int startup_ms = 30'000;
  bool published = false;       ///< instead of `coordinator`; the leader says no "bound"
  std::string addresses;        ///< of all tasks, separated by commas; may be empty
  std::string advice_on_names;  ///< JoinOptions::advice_on_names
  std::string secret;           ///< JoinOptions::secret
  bool one_host = false;
  bool require_secret = false;
  bool reflection = false;
  std::string tls_folder;  ///< with ca.pem, task.pem and task.key; empty: no TLS
};

/// A task as a process of its own: this test program, executed anew, so that no fork meets gRPC's
/// threads. It is killed at the end.
class TaskProcess {
 public:
  explicit TaskProcess(const TaskPlan& plan);
  ~TaskProcess();
  TaskProcess(const TaskProcess&) = delete;
  TaskProcess& operator=(const TaskProcess&) = delete;

  /// What the task says next under this word: "bound" (its address), "started", "log" (a line),
  /// "failed" (an error's code and message), "done". Skips other words. Empty, with a failure of
  /// the test, when it does not come in `timeout` or the process ends before.
  std::string wait_for(const std::string& word,
                       std::chrono::milliseconds timeout = std::chrono::seconds(30));
  /// The exit status; a failure of the test, and -1, when the process does not end in `timeout`.
  int wait_for_exit(std::chrono::milliseconds timeout = std::chrono::seconds(30));
  void signal(int number) const;
  pid_t pid() const { return pid_; }

 private:
  bool next_line(std::string& line, std::chrono::steady_clock::time_point deadline);

  pid_t pid_ = -1;
  int output_ = -1;
  std::string buffer_;
};

}  // namespace cohort::cluster
