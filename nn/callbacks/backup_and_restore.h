#pragma once

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "cohort/nn/callback.h"
#include "cohort/nn/callbacks/save_frequency.h"

namespace cohort::checkpoint {
class Storage;
}  // namespace cohort::checkpoint

namespace cohort::nn {

/// Lets fit go on where an earlier process stood: saves everything that later steps depend on, and
/// restores it at the beginning of fit. The same program, started again with the same arguments
/// however often it was killed, ends with the bits of one that was never interrupted: weights,
/// optimizer, positions in the data, random numbers, metrics, History, state of callbacks, within
/// an epoch, too. Calls of fit that had ended return their History at once.
/// docs/checkpoints.md says what that needs. In a job of several processes all have the callback,
/// and a directory that they share.
/// InvalidArgument for an empty directory.
struct BackupAndRestore {
  std::string backup_dir;
  SaveFrequency save_freq = "epoch";
  bool double_checkpoint = false;  ///< keep the one before the newest, too
  bool delete_checkpoint = true;   ///< when training has ended
  /// Besides, what PreemptionCheckpointHandler does.
  bool save_before_preemption = false;
  /// Refuse to go on where the program is not the one that saved: other epochs, callbacks, seed,
  /// number of replicas, … Else what differs is said.
  bool exact = false;
  /// The job's name, equal in all its starts: CheckpointManagerOptions::job.
  std::string job = "";
  bool asynchronous = false;  ///< CheckpointManagerOptions::asynchronous
  bool keep_going = false;    ///< CheckpointManagerOptions::keep_going
  /// Where backup_dir is; null: this machine's files.
  std::shared_ptr<checkpoint::Storage> storage = nullptr;

  operator Callback() const;
};

/// Saves when the process is asked to end, and goes on from there at the beginning of fit, as
/// BackupAndRestore does. When a signal has come, to one process of a job or to more, all save
/// between the same two batches, and fit throws Preempted: run_program() returns its code, for a
/// launcher to start the program again. In a job all know behind the batch that follows the signal
/// (with steps_per_execution, so many), at the latest at the epoch's end. A second signal ends the
/// process. From fit's beginning to its end; what fit leaves by an exception leaves the signals
/// watched until the callback is gone. InvalidArgument for an empty directory.
struct PreemptionCheckpointHandler {
  std::string directory;
  /// What says that the process is about to be ended: Kubernetes and Slurm send SIGTERM, Slurm
  /// SIGUSR1 where it is asked to.
  std::vector<int> signals = {SIGTERM, SIGUSR1};
  bool exact = false;    ///< BackupAndRestore::exact
  std::string job = "";  ///< BackupAndRestore::job

  operator Callback() const;
};

}  // namespace cohort::nn
