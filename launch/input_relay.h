#pragma once

#include <poll.h>

#include <string>

namespace cohort::launch {

/// What is typed at the launcher's terminal, on its way to a worker, whose process group is not the
/// terminal's and cannot read it. Nothing is read while the launcher is in the background.
class InputRelay {
 public:
  /// What to wait for, `to` being the worker's end; descriptor -1 for nothing.
  pollfd wanted(int to) const;
  /// Moves what `ready` says is there. False when the input has ended or nobody reads it.
  bool move(const pollfd& ready, int to);

 private:
  std::string pending_;
};

}  // namespace cohort::launch
