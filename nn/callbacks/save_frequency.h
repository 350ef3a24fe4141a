#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cohort/nn/named_tensors.h"

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

namespace internal {

/// Counts batches across epochs; hooks see every one, or the last of some (steps_per_execution).
class BatchCounter {
 public:
  /// Whether `every` batches or more have been done since it last said so, with batch number
  /// `batch` of an epoch.
  bool is_due(int64_t batch, int64_t every);
  void save(NamedTensors& state) const;
  void load(const NamedTensors& state);

 private:
  int64_t since_ = 0;
  int64_t latest_ = -1;  ///< batch of the epoch
};

}  // namespace internal
}  // namespace cohort::nn
