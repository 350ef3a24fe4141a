#pragma once

#include <sys/types.h>

#include <array>
#include <optional>
#include <string>

#include "launch/descriptor.h"
#include "launch/output.h"
#include "launch/plan.h"
#include "launch/verdict.h"

namespace cohort::launch {

/// A worker's process: leader of its own group, killed by the kernel when the launcher ends.
class Child {
 public:
  /// Starts it. The output goes to `out` and `err`, each line with the worker's name. Throws
  /// ResourceExhausted. A program that cannot be started ends with code 127 and says why.
  Child(const Process& process, Sink& out, Sink& err);

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  bool running() const { return pid_ > 0; }
  bool remote() const { return remote_; }

  /// Passes `signal` to the group; a worker elsewhere is asked to end by SIGINT, SIGTERM and
  /// SIGHUP, let go by SIGKILL, and gets no other.
  void signal(int signal);
  /// If the process has ended: kills what is left of its group, takes its last output, reaps it.
  /// True once.
  bool reap();

  /// What it writes to, with the sink that should have room; -1 where it has been closed.
  struct Source {
    int descriptor;
    const Sink* sink;  // none for its failure's record
  };
  std::array<Source, 3> sources() const;
  /// Reads what is there of the source; closes it at its end.
  void read(int descriptor);

  /// Where what is typed at the launcher's terminal goes; -1 for a worker that does not get it.
  int input() const { return relays_ ? in_.get() : -1; }
  void close_input() { in_.close(); }

  /// What is known of its end so far.
  WorkerEnd end() const;

 private:
  void drain(Descriptor& from, LineReader& to, size_t most_bytes);
  void read_records();
  void note(std::string_view record);

  std::string name_;
  bool remote_ = false;
  bool relays_ = false;
  pid_t pid_ = -1;
  Descriptor in_, out_, err_, report_;
  Sink& out_sink_;
  Sink& err_sink_;
  LineReader out_lines_, err_lines_;
  std::string partial_record_;
  std::optional<cluster::FailureRecord> record_;
  std::optional<Ending> ending_;
};

}  // namespace cohort::launch
