#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "launch/output.h"
#include "launch/plan.h"

namespace cohort::launch {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { close(); }

  int get() const { return number_; }
  bool open() const { return number_ >= 0; }
  void close();
  int release();

 private:
  int number_;
};

/// How a process ended, for people: "exit code 3", "signal 9 (Killed)".
struct Ending {
  int code = 0;  // as a shell has it: 128 + the signal
  std::string text;
};

/// A worker's process: leader of its own group, killed by the kernel when the launcher ends.
class Child {
 public:
  /// Starts it. The output goes to `out` and `err`, each line with the worker's name. Throws
  /// ResourceExhausted. A program that cannot be started ends with code 127 and says why.
  Child(const Process& process, Sink& out, Sink& err);

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }

  /// Passes `signal` to the group; a worker elsewhere is asked to end, or with SIGKILL let go.
  void signal(int signal);
  /// If the process has ended: takes its last output, kills what is left of its group, reaps it.
  std::optional<Ending> reap();

  int out() const { return out_.get(); }
  int err() const { return err_.get(); }
  /// Reads what is there of `descriptor` (out or err); closes it at its end.
  void read(int descriptor);
  /// The last lines of the errors' output, else of the other.
  std::string last_lines() const;

 private:
  void drain(Descriptor& from, LineReader& to);

  std::string name_;
  bool remote_ = false;
  pid_t pid_ = -1;
  Descriptor in_, out_, err_;
  LineReader out_lines_, err_lines_;
};

}  // namespace cohort::launch
