#include "cohort/nn/saving/checkpoint.h"

#include "cohort/checkpoint/directory_lock.h"
#include "cohort/core/terminal.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/collective_save.h"
#include "cohort/nn/saving/restoration.h"

namespace cohort::nn {
namespace {

/// The strategy whose workers hold the objects: that of the models among them.
distribute::Strategy strategy_of(const TrackedObjects& objects) {
  distribute::Strategy strategy = distribute::current_strategy();
  bool has_model = false;
  for (const auto& [name, object] : objects) {
    const auto* layer = std::get_if<Layer>(&object);
    const auto model = layer ? std::dynamic_pointer_cast<ModelImpl>(layer->shared()) : nullptr;
    if (!model) continue;
    const distribute::Strategy& other = model->strategy();
    const bool several = strategy.workers().count() > 1 || other.workers().count() > 1;
    if (has_model && several && !(strategy == other))
      throw InvalidArgument(
          "checkpoint: got models of {} and {}; want a checkpoint for those of each",
          strategy.name(), other.name());
    strategy = other;
    has_model = true;
  }
  return strategy;
}

/// The newest checkpoint that every worker finds whole. Collective.
std::unique_ptr<checkpoint::SavedState> agree_on_newest(
    const std::shared_ptr<checkpoint::Storage>& storage, distribute::Workers& workers,
    const std::string& path, std::vector<checkpoint::Skipped>& skipped) {
  internal::Agreement agreement(workers);
  std::optional<checkpoint::NewestFirst> steps;
  std::unique_ptr<checkpoint::SavedState> state;
  const bool is_step = agreement.from_chief("checkpoint kind", [&] {
    if (checkpoint::is_step(*storage, path)) return "step";
    steps.emplace(storage, path);
    return "directory";
  }) == "step";
  for (;;) {
    const std::string chosen = agreement.from_chief("checkpoint", [&] {
      if (is_step) return path;
      state = steps->next();
      skipped = steps->skipped();
      if (!state)
        throw NotFound("restore: {}: got {}; want a directory with a whole checkpoint", path,
                       skipped.empty() ? "no checkpoint" : "\n" + steps->report());
      return state->directory();
    });
    try {
      agreement.gather("whole checkpoint", [&] {
        if (!state) state = std::make_unique<checkpoint::SavedState>(storage, chosen);
        state->verify();
        return "";
      });
      return state;
    } catch (const internal::AgreedError& error) {
      if (is_step) throw;
      if (steps) steps->skip(chosen, error.what());
      state.reset();
    }
  }
}

}  // namespace

Checkpoint::Checkpoint(TrackedObjects objects, std::shared_ptr<checkpoint::Storage> storage)
    : objects_(std::move(objects)), strategy_(strategy_of(objects_)), storage_(std::move(storage)) {
  internal::walk(objects_);
}

std::string Checkpoint::save(const std::string& directory, SaveOptions options) const {
  checkpoint::KeptLock lock;
  return save(directory, options, lock);
}

std::string Checkpoint::save(const std::string& directory, const SaveOptions& options,
                             checkpoint::KeptLock& lock) const {
  return internal::collectively(strategy_.workers(), "save()", [&] {
    return internal::save_collectively(objects_, strategy_, storage_, directory, options, lock);
  });
}

RestoreStatus Checkpoint::restore(const std::string& path) const { return *restore(path, {}); }

std::optional<RestoreStatus> Checkpoint::restore(const std::string& path,
                                                 const RestoreOptions& options) const {
  auto restoration = internal::collectively(strategy_.workers(), "restore()", [&] {
    std::vector<checkpoint::Skipped> skipped;
    auto state = agree_on_newest(storage_, strategy_.workers(), path, skipped);
    auto restoration =
        std::make_shared<internal::Restoration>(std::move(state), std::move(skipped), objects_);
    const std::optional<TrainingState>& training = restoration->training();
    if (options.accepts && !options.accepts(training ? &*training : nullptr))
      return std::shared_ptr<internal::Restoration>();
    internal::Agreement(strategy_.workers()).gather("restored values", [&] {
      restoration->begin();
      return "";
    });
    return restoration;
  });
  if (!restoration) return {};
  for (const checkpoint::Skipped& newer : restoration->skipped())
    say(stderr, "warning: restore: skipped " + newer.path + ": " + newer.reason + "\n");
  return RestoreStatus(std::move(restoration));
}

}  // namespace cohort::nn
