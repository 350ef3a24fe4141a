#include "cohort/nn/callbacks/backup_and_restore.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstring>

#include "cohort/core/preempted.h"
#include "cohort/core/terminal.h"
#include "cohort/nn/internal/signal_watch.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/checkpoint_manager.h"
#include "cohort/nn/saving/facts.h"

namespace cohort::nn {
namespace {

struct FitSaverOptions {
  std::string who, directory;
  std::optional<int64_t> every_batches = {};
  bool at_epochs = false;
  int max_to_keep = 1;
  bool saves_the_end = true;  ///< else everything is removed then
  std::vector<int> signals = {};
  bool exact = false;
  std::string job = "";
  bool asynchronous = false, keep_going = false;
  std::shared_ptr<checkpoint::Storage> storage = nullptr;
};

/// Saves the state of fit, and restores it.
class FitSaver : public CallbackImpl {
 public:
  explicit FitSaver(FitSaverOptions options) : options_(std::move(options)) {
    if (options_.directory.empty())
      throw InvalidArgument("{}: got an empty path; want a directory", options_.who);
  }

  bool same_on_all_workers() const override { return true; }
  bool watches_signals() const override { return !options_.signals.empty(); }
  int signal() const override { return watch_ ? watch_->seen() : 0; }

  std::optional<RestoredState> restore(int64_t fit) override {
    is_asked_ = true;
    const auto accepts = [&](const TrainingState* training) {
      if (!training)
        throw FailedPrecondition(
            "{}: {}: got a checkpoint that fit has not saved; want a directory of its own",
            options_.who, options_.directory);
      return training->fit >= fit;
    };
    const auto status = manager().restore_or_initialize({.accepts = accepts});
    if (!status) return {};
    status->assert_existing_objects_matched();
    const TrainingState& state = *status->training();
    if (params().is_chief) say(stderr, describe(status->path(), state, fit));
    return RestoredState{.state = state,
                         .where = status->path(),
                         .differences = internal::differences(status->facts(), strategy()),
                         .exact = options_.exact};
  }

  void on_train_begin() override {
    if (!is_asked_)
      throw FailedPrecondition(
          "{}: got a call of fit inside of another one; want the callback in the outermost",
          options_.who);
    counter_ = {};
    watch_.reset();
    if (!options_.signals.empty()) watch_.emplace(options_.signals);
  }

  void on_boundary(const Boundary& boundary) override {
    if (boundary.kind() == Boundary::Kind::kTrainEnd) return end(boundary);
    const int signal = watch_ ? boundary.signal() : 0;
    if (signal == 0 && !is_due(boundary)) return;
    const std::string path = manager().save({.training = boundary.state()});
    if (signal == 0) return;
    manager().wait();
    leave();
    throw Preempted(fmt::format("fit: got signal {} ({}) and {}; want to be started again", signal,
                                strsignal(signal),
                                path.empty() ? "could not save" : "saved " + path));
  }

  void save_state(NamedTensors& state) const override { counter_.save(state); }
  void load_state(const NamedTensors& state) override { counter_.load(state); }

 private:
  std::string describe(const std::string& path, const TrainingState& state, int64_t fit) const {
    if (state.fit > fit || state.finished)
      return fmt::format("{}: {}: call {} of fit had ended\n", options_.who, path, fit + 1);
    return fmt::format("{}: {}: goes on in epoch {} after {} batches\n", options_.who, path,
                       state.epoch + 1, state.batch);
  }

  distribute::Strategy strategy() const { return model().model_impl().strategy(); }

  CheckpointManager& manager() {
    if (!manager_)
      manager_.emplace(
          Checkpoint({{"model", model()}},
                     options_.storage ? options_.storage : checkpoint::posix_storage()),
          CheckpointManagerOptions{.directory = options_.directory,
                                   .max_to_keep = options_.max_to_keep,
                                   .job = options_.job,
                                   .asynchronous = options_.asynchronous,
                                   .keep_going = options_.keep_going});
    return *manager_;
  }

  bool is_due(const Boundary& boundary) {
    if (boundary.kind() == Boundary::Kind::kEpoch) return options_.at_epochs;
    return options_.every_batches && counter_.is_due(boundary.batch(), *options_.every_batches);
  }

  void end(const Boundary& boundary) {
    if (options_.saves_the_end) {
      manager().save({.training = boundary.state()});
      manager().wait();
    } else {
      manager().remove_all();
    }
    leave();
  }

  /// Gives the directory and the signals free.
  void leave() {
    is_asked_ = false;
    manager_.reset();
    watch_.reset();
  }

  FitSaverOptions options_;
  std::optional<CheckpointManager> manager_;
  std::optional<internal::SignalWatch> watch_;
  internal::BatchCounter counter_;
  bool is_asked_ = false;  ///< restore() has been called for this call of fit
};

FitSaverOptions saver_options(const BackupAndRestore& options) {
  FitSaverOptions saver{.who = "BackupAndRestore",
                        .directory = options.backup_dir,
                        .every_batches = options.save_freq.batches(),
                        .at_epochs = !options.save_freq.batches(),
                        .max_to_keep = options.double_checkpoint ? 2 : 1,
                        .saves_the_end = !options.delete_checkpoint,
                        .exact = options.exact,
                        .job = options.job,
                        .asynchronous = options.asynchronous,
                        .keep_going = options.keep_going,
                        .storage = options.storage};
  if (options.save_before_preemption)
    saver.signals = PreemptionCheckpointHandler{.directory = ""}.signals;
  return saver;
}

FitSaverOptions saver_options(const PreemptionCheckpointHandler& options) {
  return {.who = "PreemptionCheckpointHandler",
          .directory = options.directory,
          .signals = options.signals,
          .exact = options.exact,
          .job = options.job};
}

}  // namespace

BackupAndRestore::operator Callback() const { return make<FitSaver>(saver_options(*this)); }

PreemptionCheckpointHandler::operator Callback() const {
  return make<FitSaver>(saver_options(*this));
}

}  // namespace cohort::nn
