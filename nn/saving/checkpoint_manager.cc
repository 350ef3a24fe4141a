#include "cohort/nn/saving/checkpoint_manager.h"

#include <functional>
#include <map>

#include "cohort/checkpoint/directory_lock.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/terminal.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/background_save.h"
#include "cohort/nn/saving/collective_save.h"

namespace cohort::nn {

struct CheckpointManager::State {
  Checkpoint checkpoint;
  CheckpointManagerOptions options;
  checkpoint::RetentionOptions retention;
  checkpoint::KeptLock lock;
  const std::shared_ptr<checkpoint::Storage> storage;
  std::map<uint64_t, checkpoint::SavedStep> known = {};    ///< what manifests say, each read once
  std::optional<internal::BackgroundSave> in_flight = {};  ///< last: uses the lock

  void finish();
  std::string save_now(const SaveOptions& save_options);
  std::string attempt(const std::function<std::string()>& work);
  checkpoint::SavedStep describe(uint64_t step);
  void remove_what_need_not_stay();
};

/// A step that cannot be read is none of the best.
checkpoint::SavedStep CheckpointManager::State::describe(uint64_t step) {
  if (const auto found = known.find(step); found != known.end()) return found->second;
  checkpoint::SavedStep saved{.step = step};
  try {
    const checkpoint::SavedState state(
        storage, checkpoint::join_path(options.directory, checkpoint::step_name(step)));
    saved.created_ms = state.manifest().created_ms;
    saved.metric = state.manifest().metric;
  } catch (const Error&) {
    return saved;
  }
  return known[step] = saved;
}

void CheckpointManager::State::remove_what_need_not_stay() {
  try {
    std::vector<checkpoint::SavedStep> steps;
    for (const uint64_t step : checkpoint::steps_in(*storage, options.directory))
      steps.push_back(describe(step));
    for (const uint64_t step : checkpoint::steps_to_remove(std::move(steps), retention)) {
      lock.lock->check();
      checkpoint::remove_step(*storage, options.directory, step);
    }
  } catch (const Error& error) {
    say(stderr, std::string("warning: checkpoints: old ones stay: ") + error.what() + "\n");
  }
}

CheckpointManager::CheckpointManager(Checkpoint checkpoint, CheckpointManagerOptions options)
    : state_(new State{.checkpoint = checkpoint,
                       .options = options,
                       .retention = {.max_to_keep = options.max_to_keep,
                                     .keep_every_n_hours = options.keep_checkpoint_every_n_hours,
                                     .keep_best = options.keep_best,
                                     .better = options.better},
                       .lock = {.options = {.job = options.job}},
                       .storage = checkpoint.storage_}) {
  checkpoint::check(state_->retention);
  if (options.directory.empty())
    throw InvalidArgument("checkpoints: got an empty directory; want its path");
}

CheckpointManager::~CheckpointManager() = default;
CheckpointManager::CheckpointManager(CheckpointManager&&) noexcept = default;
CheckpointManager& CheckpointManager::operator=(CheckpointManager&&) noexcept = default;

/// Ends what is in flight. Throws AgreedError on all workers alike.
void CheckpointManager::State::finish() {
  if (!in_flight) return;
  distribute::Workers& workers = checkpoint.strategy_.workers();
  internal::Agreement agreement(workers);
  std::optional<internal::AgreedError> error;
  try {
    agreement.gather("parts of a save", [&] {
      if (!workers.is_chief()) in_flight->join();
      return "";
    });
  } catch (const internal::AgreedError& agreed) {
    error = agreed;
    in_flight->give_up();
  }
  try {
    agreement.from_chief("save", [&] {
      in_flight->join();
      return "";
    });
  } catch (const internal::AgreedError& agreed) {
    if (!error) error = agreed;
  }
  in_flight.reset();
  if (error) throw *error;
  if (workers.is_chief()) remove_what_need_not_stay();
}

std::string CheckpointManager::State::save_now(const SaveOptions& save_options) {
  const TrackedObjects& objects = checkpoint.objects_;
  const distribute::Strategy& strategy = checkpoint.strategy_;
  if (options.asynchronous) {
    internal::SaveJob job = internal::begin_save_collectively(
        objects, strategy, storage, options.directory, save_options, lock);
    const uint64_t step = job.step;
    in_flight.emplace(std::move(job));
    return checkpoint::join_path(options.directory, checkpoint::step_name(step));
  }
  std::string path = internal::save_collectively(objects, strategy, storage, options.directory,
                                                 save_options, lock);
  if (strategy.is_chief()) remove_what_need_not_stay();
  return path;
}

/// What `work` returns; "" where it fails and the program goes on.
std::string CheckpointManager::State::attempt(const std::function<std::string()>& work) {
  distribute::Workers& workers = checkpoint.strategy_.workers();
  return internal::collectively(workers, "save()", [&]() -> std::string {
    try {
      return work();
    } catch (const internal::AgreedError& error) {
      if (!options.keep_going) throw;
      if (workers.is_chief())
        say(stderr, std::string("warning: checkpoints: a save failed: ") + error.what() + "\n");
      return "";
    }
  });
}

std::string CheckpointManager::save(SaveOptions options) {
  state_->attempt([&] {
    state_->finish();
    return "";
  });
  return state_->attempt([&] { return state_->save_now(options); });
}

void CheckpointManager::wait() {
  state_->attempt([&] {
    state_->finish();
    return "";
  });
}

void CheckpointManager::remove_all() {
  wait();
  distribute::Workers& workers = state_->checkpoint.strategy_.workers();
  workers.guard("remove_all()", [&] {
    internal::Agreement(workers).from_chief("removed checkpoints", [&] {
      checkpoint::KeptLock& kept = state_->lock;
      const std::string& directory = state_->options.directory;
      const std::vector<uint64_t> steps = checkpoint::steps_in(*state_->storage, directory);
      if (steps.empty()) return "";
      if (!kept.lock) kept.lock.emplace(state_->storage, directory, kept.options);
      for (const uint64_t step : steps) {
        kept.lock->check();
        checkpoint::remove_step(*state_->storage, directory, step);
      }
      return "";
    });
  });
}

std::optional<RestoreStatus> CheckpointManager::restore_or_initialize(
    const RestoreOptions& options) const {
  distribute::Workers& workers = state_->checkpoint.strategy_.workers();
  const std::string found = workers.guard("restore_or_initialize()", [&] {
    return internal::Agreement(workers).from_chief(
        "checkpoints", [&] { return checkpoints().empty() ? "" : "some"; });
  });
  if (found.empty()) return {};
  return state_->checkpoint.restore(state_->options.directory, options);
}

std::vector<std::string> CheckpointManager::checkpoints() const {
  std::vector<std::string> paths;
  for (const uint64_t step : checkpoint::steps_in(*state_->storage, state_->options.directory))
    paths.push_back(checkpoint::join_path(state_->options.directory, checkpoint::step_name(step)));
  return paths;
}

std::optional<std::string> CheckpointManager::latest_checkpoint() const {
  std::vector<std::string> paths = checkpoints();
  if (paths.empty()) return {};
  return std::move(paths.back());
}

const std::string& CheckpointManager::directory() const { return state_->options.directory; }

}  // namespace cohort::nn
