#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cohort/checkpoint/directory_lock.h"
#include "cohort/checkpoint/storage.h"
#include "cohort/core/graph/departure.h"
#include "cohort/nn/saving/facts.h"
#include "cohort/nn/saving/object_walk.h"

namespace cohort::nn::internal {

/// One save, when all workers have agreed on it and the step's directory is there: what each of
/// them writes, and how the chief makes a step of it. Needs no word with the others.
struct SaveJob {
  std::shared_ptr<checkpoint::Storage> storage;
  std::string directory;
  std::string saving;  ///< where the files are until the step has its name
  uint64_t step = 0;
  std::optional<double> metric;
  std::string trace_hash;
  Facts facts;
  std::vector<SavedValue> values;
  std::vector<int> writers;  ///< of each value
  int index = 0, count = 1;  ///< of the workers
  checkpoint::KeptLock* lock = nullptr;
  std::vector<std::shared_ptr<Departure>> departures = {};  ///< of values that are to be copied

  /// Writes and syncs this worker's file; what it says of it to the chief.
  std::string write_mine() const;
  /// The chief's, with what all have said. Returns the step's path.
  std::string commit(const std::vector<std::string>& files) const;
  /// The chief removes what the attempt left, as far as that goes.
  void abandon() const;
  /// The values that this worker writes are those of now; nothing else of the objects is held.
  /// Before they are written, copy_values().
  void take_values();
  /// Any thread, beside steps that write the variables meanwhile: those wait for the copies of what
  /// they write, or make them.
  void copy_values();
};

}  // namespace cohort::nn::internal
