#include "cohort/checkpoint/newest.h"

#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/error.h"

namespace cohort::checkpoint {

NewestFirst::NewestFirst(std::shared_ptr<Storage> storage, std::string directory)
    : storage_(std::move(storage)),
      directory_(std::move(directory)),
      steps_(steps_in(*storage_, directory_)) {}

std::unique_ptr<SavedState> NewestFirst::next() {
  while (!steps_.empty()) {
    const std::string path = join_path(directory_, step_name(steps_.back()));
    steps_.pop_back();
    try {
      return std::make_unique<SavedState>(storage_, path);
    } catch (const Error& error) {
      skip(path, error.what());
    }
  }
  return nullptr;
}

void NewestFirst::skip(std::string path, std::string reason) {
  skipped_.push_back({std::move(path), std::move(reason)});
}

std::string NewestFirst::report() const {
  std::string text;
  for (const auto& [path, reason] : skipped_) text += "skipped " + path + ": " + reason + "\n";
  return text;
}

bool is_step(Storage& storage, const std::string& path) {
  return storage.exists(join_path(path, kManifestName));
}

std::unique_ptr<SavedState> open_newest(std::shared_ptr<Storage> storage, const std::string& path,
                                        std::vector<Skipped>* skipped) {
  if (is_step(*storage, path)) {
    auto state = std::make_unique<SavedState>(storage, path);
    state->verify();
    return state;
  }
  NewestFirst steps(storage, path);
  std::unique_ptr<SavedState> state;
  while ((state = steps.next())) {
    try {
      state->verify();
      break;
    } catch (const Error& error) {
      steps.skip(state->directory(), error.what());
    }
  }
  if (skipped) *skipped = steps.skipped();
  if (!state)
    throw NotFound("{}: got {}; want a directory with a whole checkpoint", path,
                   steps.skipped().empty() ? "no checkpoint" : "\n" + steps.report());
  return state;
}

}  // namespace cohort::checkpoint
