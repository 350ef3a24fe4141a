#include "cohort/nn/callbacks/backup_and_restore.h"

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "cohort/core/terminal.h"
#include "cohort/nn/model.h"
#include "cohort/nn/saving/checkpoint_manager.h"

namespace cohort::nn {
namespace {

class BackupAndRestoreImpl : public CallbackImpl {
 public:
  explicit BackupAndRestoreImpl(BackupAndRestoreOptions options) : options_(std::move(options)) {
    if (options_.backup_dir.empty())
      throw InvalidArgument("BackupAndRestore: got an empty backup_dir; want a directory");
  }

  bool same_on_all_workers() const override { return true; }

  std::optional<RestoredState> restore(int64_t fit) override {
    is_asked_ = true;
    const auto accepts = [&](const TrainingState* training) {
      if (!training)
        throw FailedPrecondition(
            "BackupAndRestore: {}: got a checkpoint that fit has not saved; want a directory of "
            "its "
            "own",
            options_.backup_dir);
      return training->fit >= fit;
    };
    const auto status = manager().restore_or_initialize({.accepts = accepts});
    if (!status) return {};
    status->assert_existing_objects_matched();
    const TrainingState& state = *status->training();
    if (params().is_chief) say(stderr, describe(status->path(), state, fit));
    return RestoredState{
        .state = state, .where = status->path(), .differences = {}, .exact = options_.exact};
  }

  void on_train_begin() override {
    if (!is_asked_)
      throw FailedPrecondition(
          "BackupAndRestore: got a call of fit inside of another one; want the callback in the "
          "outermost");
    batches_ = 0;
    seen_ = -1;
  }

  void on_boundary(const Boundary& boundary) override {
    using Kind = Boundary::Kind;
    if (boundary.kind() == Kind::kTrainEnd) return end(boundary);
    if (!options_.save_freq.batches()) {
      if (boundary.kind() == Kind::kEpoch) save(boundary);
      return;
    }
    if (boundary.kind() == Kind::kEpoch) {
      seen_ = -1;
      return;
    }
    batches_ += boundary.batch() - seen_;
    seen_ = boundary.batch();
    if (batches_ < *options_.save_freq.batches()) return;
    batches_ = 0;
    save(boundary);
  }

  void save_state(NamedTensors& state) const override {
    state.set("batches", batches_);
    state.set("seen", seen_);
  }
  void load_state(const NamedTensors& state) override {
    batches_ = state.integer("batches");
    seen_ = state.integer("seen");
  }

 private:
  static std::string describe(const std::string& path, const TrainingState& state, int64_t fit) {
    if (state.fit > fit || state.finished)
      return fmt::format("BackupAndRestore: {}: call {} of fit had ended\n", path, fit + 1);
    return fmt::format("BackupAndRestore: {}: goes on in epoch {} after {} batches\n", path,
                       state.epoch + 1, state.batch);
  }

  CheckpointManager& manager() {
    if (!manager_)
      manager_.emplace(Checkpoint({{"model", model()}}),
                       CheckpointManagerOptions{.directory = options_.backup_dir,
                                                .max_to_keep = options_.double_checkpoint ? 2 : 1,
                                                .job = options_.job});
    return *manager_;
  }

  void save(const Boundary& boundary) { manager().save({.training = boundary.state()}); }

  void end(const Boundary& boundary) {
    is_asked_ = false;
    if (options_.delete_checkpoint)
      manager().remove_all();
    else
      save(boundary);
    manager_.reset();  // and the lock of the directory
  }

  BackupAndRestoreOptions options_;
  std::optional<CheckpointManager> manager_;
  bool is_asked_ = false;  ///< restore() has been called for this call of fit
  int64_t batches_ = 0;    ///< since the latest save
  int64_t seen_ = -1;      ///< the latest batch of this epoch
};

}  // namespace

SaveFrequency::SaveFrequency(int64_t batches) : batches_(batches) {
  if (batches < 1)
    throw InvalidArgument("save_freq: got {}; want \"epoch\", or 1 batch or more", batches);
}

SaveFrequency::SaveFrequency(const char* at) {
  if (std::string_view(at) != "epoch")
    throw InvalidArgument("save_freq: got \"{}\"; want \"epoch\", or a number of batches", at);
}

BackupAndRestore::BackupAndRestore(BackupAndRestoreOptions options)
    : Callback(std::make_shared<BackupAndRestoreImpl>(std::move(options))) {}

}  // namespace cohort::nn
