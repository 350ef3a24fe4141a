#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cohort/cluster/task.h"
#include "cohort/cluster/wait_board.h"

namespace cohort::cluster {

/// Who waits for whom among the tasks of a cluster, as they report it now and then. Whoever waits
/// for several needs all of them, so a circle of waits has no end, whatever else its members wait
/// for. Reports are of different moments: a circle counts when each of its waits was reported once
/// more after all had been. Not thread-safe.
class WaitGraph {
 public:
  static constexpr size_t kMostWaits = 4096;  ///< of one task; what is more is left out

  /// Takes the place of what `task` said before. False, once for each task: some waits were left
  /// out, and circles through them are not found.
  bool report(const Task& task, std::vector<Wait> waits);
  /// Each task's part in the circles that have lasted, for a person; nothing when there is none.
  std::optional<std::string> find_circle();

 private:
  struct Report {
    uint64_t number = 0;
    bool cut = false;  ///< this one or one before
    std::vector<Wait> waits;
  };
  /// A wait on a suspected circle.
  struct Link {
    Task task;
    Wait wait;
    uint64_t reported = 0;  ///< number of the task's report at the suspicion
  };

  void forget_ended();
  void suspect();

  std::map<Task, Report> reports_;
  std::vector<Link> suspected_;  ///< those of each task side by side
};

}  // namespace cohort::cluster
