#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cohort/nn/callback.h"

namespace cohort::nn {

/// When a callback saves: "epoch", at the end of each, or after so many batches.
class SaveFrequency {
 public:
  SaveFrequency(int64_t batches);       // NOLINT
  SaveFrequency(const char* at);        // NOLINT: "epoch"
  SaveFrequency(const std::string& at)  // NOLINT
      : SaveFrequency(at.c_str()) {}
  /// Absent: at the end of each epoch.
  const std::optional<int64_t>& batches() const { return batches_; }

 private:
  std::optional<int64_t> batches_;
};

struct BackupAndRestoreOptions {
  std::string backup_dir;
  SaveFrequency save_freq = "epoch";
  bool double_checkpoint = false;  ///< keep the one before the newest, too
  bool delete_checkpoint = true;   ///< when training has ended
  /// Refuse to go on where the program is not the one that saved: other epochs, callbacks, seed,
  /// number of replicas, … Else what differs is said.
  bool exact = false;
  /// The job's name, equal in all its starts: CheckpointManagerOptions::job.
  std::string job = "";
};

/// Lets fit go on where an earlier process stood: saves everything that later steps depend on, and
/// restores it at the beginning of fit. The same program, started again with the same arguments
/// however often it was killed, ends with the bits of one that was never interrupted: weights,
/// optimizer, positions in the data, random numbers, metrics, History, state of callbacks, within
/// an epoch, too. Calls of fit that had ended return their History at once.
/// docs/checkpoints.md says what that needs. In a job of several processes all have the callback,
/// and a directory that they share.
class BackupAndRestore : public Callback {
 public:
  /// Throws InvalidArgument for an empty directory.
  explicit BackupAndRestore(BackupAndRestoreOptions options);
};

}  // namespace cohort::nn
