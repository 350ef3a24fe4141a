#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cohort/checkpoint/newest.h"
#include "cohort/checkpoint/storage.h"
#include "cohort/nn/saving/object_walk.h"
#include "cohort/nn/training_state.h"

namespace cohort::checkpoint {
struct KeptLock;
}

namespace cohort::nn {

namespace internal {
class Restoration;
}

/// What Checkpoint::restore() did. A cheap handle. When the last copy goes, a warning on standard
/// error names what was missing or unused, unless one of the assertions has passed or
/// expect_partial() was called; values that wait for what is not made yet are no reason.
class RestoreStatus {
 public:
  explicit RestoreStatus(std::shared_ptr<internal::Restoration> restoration);

  /// The directory of the step that was restored.
  const std::string& path() const;
  uint64_t step() const;
  /// Newer checkpoints that were no good.
  const std::vector<checkpoint::Skipped>& skipped() const;
  /// Of a call of fit, where it was saved.
  const std::optional<TrainingState>& training() const;
  /// What the saving program was, by name: docs/checkpoints.md.
  const std::vector<std::pair<std::string, std::string>>& facts() const;
  /// Names of values that the objects have and the checkpoint has not.
  std::vector<std::string> missing() const;
  /// Names of values that the checkpoint has and the objects have not; those included that wait for
  /// weights and slots that are not made yet.
  std::vector<std::string> unused() const;

  /// Throws FailedPrecondition, listing names, where something is missing or unused.
  const RestoreStatus& assert_consumed() const;
  /// Throws FailedPrecondition, listing names, where something is missing.
  const RestoreStatus& assert_existing_objects_matched() const;
  /// No warning.
  const RestoreStatus& expect_partial() const;

 private:
  std::shared_ptr<internal::Restoration> restoration_;
  std::shared_ptr<void> last_copy_;
};

struct SaveOptions {
  /// Absent: one more than the newest in the directory, 1 for the first.
  std::optional<uint64_t> step = {};
  /// By which the best are kept; see CheckpointManager.
  std::optional<double> metric = {};
  /// graph_hash() of the traced step, where it is to be seen in the checkpoint.
  std::string trace_hash = "";
  /// Of a call of fit: Boundary::state().
  std::optional<TrainingState> training = {};
};

struct RestoreOptions {
  /// Asked before any value is taken, on all workers alike: whether to take them. The argument is
  /// the state of a call of fit, null where the checkpoint has none.
  std::function<bool(const TrainingState* training)> accepts = {};
};

/// State in files (tf.train.Checkpoint): models, optimizers, metrics and variables under names.
///
///   nn::Checkpoint checkpoint({{"model", model}});
///   checkpoint.save("checkpoints");
///   checkpoint.restore("checkpoints").assert_consumed();
///
/// A compiled model has its optimizer with it. In a job of several processes save() and restore()
/// are collective, as fit() is: each process writes a share of the tensors, whole ones, and all
/// read all of them; the directory must be one that all of them share. docs/checkpoints.md
/// describes the files.
class Checkpoint {
 public:
  /// Files are those of `storage`. Throws InvalidArgument where models belong to several jobs.
  explicit Checkpoint(TrackedObjects objects,
                      std::shared_ptr<checkpoint::Storage> storage = checkpoint::posix_storage());

  /// Writes directory/step-N and returns its path, when it survives a crash of the machine. The
  /// directory is made where it lacks. Not while a step runs. On an error nothing has changed but
  /// what is left of the attempt, which the next save removes: AlreadyExists for a step that is
  /// there, FailedPrecondition where another process writes to the directory or a worker does not
  /// see the chief's, and what checkpoint::Storage throws. Every worker throws the same.
  std::string save(const std::string& directory, SaveOptions options = {}) const;

  /// Takes the values of the newest whole checkpoint in a directory, or of the step whose directory
  /// `path` is. Every byte is checked first; newer ones that are no good are named on standard
  /// error. Values of weights and slots that are not made yet are taken when they are. Throws
  /// NotFound where there is no whole checkpoint, InvalidArgument, listing names, where dtypes or
  /// shapes differ: nothing has changed then.
  RestoreStatus restore(const std::string& path) const;
  /// The same; nothing where the options do not accept what is there.
  std::optional<RestoreStatus> restore(const std::string& path,
                                       const RestoreOptions& options) const;

 private:
  friend class CheckpointManager;
  std::string save(const std::string& directory, const SaveOptions& options,
                   checkpoint::KeptLock& lock) const;

  TrackedObjects objects_;
  distribute::Strategy strategy_;
  std::shared_ptr<checkpoint::Storage> storage_;
};

}  // namespace cohort::nn
