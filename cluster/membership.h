#pragma once

#include <functional>
#include <span>
#include <vector>

#include "cohort/cluster/key_value_store.h"
#include "cohort/cluster/task.h"

namespace cohort::cluster {

/// A task's seat in a running cluster: who takes part, whether they live, and where they meet.
/// Thread-safe. Waits end with the cluster's error as soon as there is one.
class Membership : public KeyValueStore {
 public:
  virtual const Task& self() const = 0;
  /// Every task that takes part, in cluster order: chief, then workers by index.
  virtual const std::vector<Task>& tasks() const = 0;

  /// Returns when every task of `participants` (empty: all) has called it with this name; the n-th
  /// use of a name meets the n-th use of the others. Throws DeadlineExceeded naming who is missing,
  /// InvalidArgument when the participants differ between callers or do not contain the caller.
  virtual void barrier(const std::string& name, std::chrono::milliseconds timeout,
                       std::span<const Task> participants = {}) = 0;

  /// Tells every task that this one failed; their waits end with `error`, this task's name before
  /// it. Returns when they have heard it, so that the process may end at once, or after a few
  /// seconds.
  virtual void report_error(const Error& error) = 0;
  /// What the cluster failed with: a dead peer (Unavailable, naming it), a restarted one (Aborted),
  /// or what a task reported.
  std::optional<Error> error() const override = 0;

  /// Says good-bye: waits, `timeout` at most, until all tasks have said it, so that no task takes
  /// another's end for a death. Throws DeadlineExceeded naming who has not, or the cluster's error;
  /// this task has left in either case. Nothing but the destructor may be called afterwards. A
  /// membership that is destroyed without leaving is a death in the others' eyes.
  virtual void leave(std::chrono::milliseconds timeout) = 0;
};

}  // namespace cohort::cluster
