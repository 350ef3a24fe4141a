#pragma once

#include <sys/types.h>

namespace cohort::launch {

/// A small process that outlives the launcher by a moment: when the launcher ends, however it ends,
/// the keeper kills the process groups that are still on its list. (The kernel kills the workers
/// themselves; this is for their children.)
class Keeper {
 public:
  /// Forks. Throws ResourceExhausted when it cannot.
  Keeper();
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void add(pid_t group);
  void remove(pid_t group);

 private:
  void tell(int message);

  int pipe_ = -1;
  pid_t pid_ = -1;
};

}  // namespace cohort::launch
