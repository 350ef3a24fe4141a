#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cohort/nn/named_tensors.h"

namespace cohort::nn {

/// What a call of fit that has ended returned, and why it ended.
struct FinishedFit {
  int64_t epochs = 0;  ///< FitOptions::epochs
  bool stopped = false;
  NamedTensors history;  ///< of its History
};

/// Where a call of fit stands between two batches: what a later process needs, besides weights and
/// the optimizer's variables, to go on as if nothing had happened. A value; fit makes it, and
/// starts from it (CallbackImpl::on_boundary, CallbackImpl::restore).
struct TrainingState {
  int64_t fit = 0;     ///< which call of the model, from 0; those inside of others do not count
  int64_t epochs = 0;  ///< FitOptions::epochs
  int64_t epoch = 0;   ///< the one under way, or next
  int64_t batch = 0;   ///< its batches that are done
  bool stop_training = false;
  /// Of a job of several processes: what batch hooks have asked for that no execution has carried
  /// to all of them yet (CallbackImpl).
  bool stop_wished = false;
  std::optional<double> learning_rate_wished = {};
  bool finished = false;      ///< on_train_end() has been called
  int64_t commit_number = 0;  ///< of the strategy
  uint64_t seed = 0;          ///< of random ops and shuffles
  std::string input;          ///< position of the iterator, for all processes
  /// "NAME SIZE" of each file that the data are read from, as it was then.
  std::vector<std::string> files;
  std::vector<Tensor> metrics;                       ///< of the epoch so far; empty: none
  std::vector<std::pair<std::string, double>> logs;  ///< of the latest epoch that ended
  std::vector<NamedTensors> callbacks;               ///< of FitOptions::callbacks
  std::vector<std::string> callback_types;           ///< that tell them apart
  NamedTensors history;                              ///< of its History
  std::vector<FinishedFit> finished_fits;  ///< calls 0 to fit - 1, this one too if finished

  /// Names begin with kPrefix.
  NamedTensors to_tensors() const;
  /// Throws DataLoss, beginning with `where`, for what to_tensors() has not made.
  static TrainingState from_tensors(const NamedTensors& tensors, const std::string& where);
  static constexpr const char* kPrefix = "training/";
};

/// A state that fit is to go on from.
struct RestoredState {
  TrainingState state;
  std::string where;                     ///< it was, for people
  std::vector<std::string> differences;  ///< of the program, then and now, for people
  bool exact = false;                    ///< a difference is an error
};

}  // namespace cohort::nn
