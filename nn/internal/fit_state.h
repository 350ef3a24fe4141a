#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cohort/nn/callback.h"
#include "cohort/nn/internal/loop_metrics.h"
#include "cohort/nn/internal/loops.h"

/// How a call of fit becomes a TrainingState, and goes on from one.
namespace cohort::nn::internal {

/// Keeps the number of a call of fit. A call that an exception ends has failed for good.
class FitNumber {
 public:
  /// `counts`: the call is not inside of another one.
  FitNumber(ModelImpl& model, bool counts);
  ~FitNumber();
  FitNumber(const FitNumber&) = delete;
  FitNumber& operator=(const FitNumber&) = delete;

  bool counts() const { return counts_; }
  int64_t value() const { return value_; }
  /// The call is over.
  void finish(FinishedFit fit);
  /// It was over in an earlier process.
  void keep() { finished_ = true; }

 private:
  ModelImpl& model_;
  const bool counts_;
  const int64_t value_;
  bool finished_ = false;
};

/// Of what callbacks are, in order.
std::vector<std::string> types_of(const std::vector<Callback>& callbacks);
std::vector<NamedTensors> states_of(const std::vector<Callback>& callbacks);
NamedTensors state_of(const Callback& callback);
/// The History of a call that ended in another process.
History history_of(const NamedTensors& state);

/// The chief's values of everything, on every worker. Collective. Throws FailedPrecondition where a
/// large value (a callback's copy of weights) is not the same on all.
TrainingState agreed(distribute::Workers& workers, const TrainingState& mine);

/// The commit number of the model's strategy and the seed are those of `state`.
void take_numbers(const TrainingState& state, ModelImpl& model);

/// Gives what `restored` says to the strategy, the random streams, `metrics` and `callbacks`, which
/// have had on_train_begin(). `files`: Input::files(). What differs from the call that was saved is
/// said, or refused where the state is to be continued exactly.
void load(const RestoredState& restored, ModelImpl& model, LoopMetrics& metrics,
          const std::vector<std::string>& files, const FitOptions& options);

}  // namespace cohort::nn::internal
