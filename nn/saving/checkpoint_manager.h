#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/checkpoint/retention.h"
#include "cohort/nn/saving/checkpoint.h"

namespace cohort::nn {

struct CheckpointManagerOptions {
  std::string directory = "";
  std::optional<int> max_to_keep = 5;  ///< the newest; absent: all
  /// Besides, one for every so many hours.
  std::optional<double> keep_checkpoint_every_n_hours = {};
  /// Besides, so many with the best SaveOptions::metric.
  int keep_best = 0;
  checkpoint::Better better = checkpoint::Better::kSmaller;
  /// The job's name, equal in all its starts: the next start takes the directory over at once, from
  /// whatever host. "": none.
  std::string job = "";
  /// save() returns at once: values are copied, before anything else writes them, and files are
  /// written beside what follows. The next save() first waits for it.
  bool asynchronous = false;
  /// A save that fails, on a full or broken disk, is said on standard error and not thrown.
  bool keep_going = false;
};

/// A directory of checkpoints and which of them stay (tf.train.CheckpointManager). From its first
/// save() on, no other process writes to the directory. save() and restore_or_initialize() are
/// collective, as Checkpoint's.
class CheckpointManager {
 public:
  /// Throws InvalidArgument for options that keep nothing.
  CheckpointManager(Checkpoint checkpoint, CheckpointManagerOptions options);
  ~CheckpointManager();
  CheckpointManager(CheckpointManager&&) noexcept;
  CheckpointManager& operator=(CheckpointManager&&) noexcept;

  /// Checkpoint::save, and then the removal of what need not stay; a failure of that is a warning.
  /// Returns the step's path, which it does not have yet where it is asynchronous; "" where the
  /// save failed and that was said. Throws also the error of an asynchronous one before it.
  std::string save(SaveOptions options = {});
  /// Waits until an asynchronous save has ended, and throws its error. Collective.
  void wait();
  /// Checkpoint::restore of the newest whole one; nothing where the directory has none.
  std::optional<RestoreStatus> restore_or_initialize(const RestoreOptions& options = {}) const;
  /// Removes all checkpoints. Collective; in a job the chief does it.
  void remove_all();
  /// The steps' directories, the oldest first. What is in them is not checked.
  std::vector<std::string> checkpoints() const;
  std::optional<std::string> latest_checkpoint() const;
  const std::string& directory() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cohort::nn
