#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/checkpoint/saved_state.h"

namespace cohort::checkpoint {

/// A checkpoint that was passed over, and why.
struct Skipped {
  std::string path;
  std::string reason;
};

/// Goes through the steps of a directory from the newest to the oldest. A step that cannot be
/// opened is noted in skipped() and passed over.
class NewestFirst {
 public:
  NewestFirst(std::shared_ptr<Storage> storage, std::string directory);

  /// The next one; null when there is none left.
  std::unique_ptr<SavedState> next();
  /// Notes that what next() gave was no good.
  void skip(std::string path, std::string reason);
  const std::vector<Skipped>& skipped() const { return skipped_; }
  /// "skipped PATH: REASON" lines.
  std::string report() const;

 private:
  std::shared_ptr<Storage> storage_;
  std::string directory_;
  std::vector<uint64_t> steps_;  ///< those left, ascending
  std::vector<Skipped> skipped_;
};

/// Opens the newest checkpoint that is whole, every byte of it checked. `path` is a directory of
/// checkpoints, or one of a step, which must be whole. Notes in `skipped`, where given, what was
/// passed over. NotFound where there is none.
std::unique_ptr<SavedState> open_newest(std::shared_ptr<Storage> storage, const std::string& path,
                                        std::vector<Skipped>* skipped = nullptr);

/// Whether `path` is the directory of one step.
bool is_step(Storage& storage, const std::string& path);

}  // namespace cohort::checkpoint
