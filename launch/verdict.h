#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/failure_record.h"

namespace cohort::launch {

/// How a process ended, for people: "exit code 3", "signal 9 (Killed)".
struct Ending {
  int code = 0;  // as a shell has it: 128 + the signal
  std::string text;
  bool killed = false;  // by a signal
  int64_t time_ns = 0;  // since 1970
};

/// What is known of a worker when the job has failed.
struct WorkerEnd {
  std::string name;
  std::optional<Ending> ending;  // nothing while it runs
  std::optional<cluster::FailureRecord> record;
  std::string last_lines;

  bool failed() const { return ending && ending->code != 0; }
};

/// The position of the worker that the job's failure began with: of those whose record says that
/// the error was their own and those that a signal killed without a word, the first; else the first
/// that failed without a record; else the first that failed. Nothing when none has failed.
std::optional<size_t> find_culprit(const std::vector<WorkerEnd>& workers);

/// "worker 1 failed: exit code 3; Unknown: map: …; its last lines:\n  …"
std::string describe(const WorkerEnd& worker);

}  // namespace cohort::launch
