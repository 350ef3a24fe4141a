#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cohort/core/graph/op.h"
#include "cohort/nn/handle.h"

namespace cohort::nn {

class LearningRateSchedule;

/// What a schedule is: the learning rate as a function of the batches that the optimizer has seen,
/// recorded in the step, so that nothing is traced again. A user's own derives from it.
class LearningRateScheduleImpl : public MadeOfOptions {
 public:
  using HandleType = LearningRateSchedule;
  virtual ~LearningRateScheduleImpl() = default;
  /// Records the rate, f32 [], of the step after `step` batches (i64 []).
  virtual Value rate(Value step) const = 0;
};

/// A handle to a schedule. Given as an optimizer's learning_rate.
class LearningRateSchedule : public Handle<LearningRateScheduleImpl> {
 public:
  using Handle::Handle;
  /// Inside a traced function: the rate after `step` batches.
  Value operator()(Value step) const { return impl().rate(step); }
  /// The same as a number.
  double at(int64_t step) const;
};

/// What an optimizer's learning_rate takes: a number, or a schedule.
class LearningRate {
 public:
  LearningRate(double rate) : rate_(rate) {}  // NOLINT
  template <class S>
  requires(std::is_convertible_v<S, LearningRateSchedule> && !std::is_convertible_v<S, void*>)
      LearningRate(const S& schedule)  // NOLINT
      : schedule_(schedule) {}

  bool is_scheduled() const { return schedule_.defined(); }
  double rate() const { return rate_; }
  const LearningRateSchedule& schedule() const { return schedule_; }

 private:
  double rate_ = 0;
  LearningRateSchedule schedule_;
};

/// Keras' schedules, computed in f32. All throw InvalidArgument unless decay_steps > 0.
namespace schedules {

/// initial * decay_rate ^ (step / decay_steps).
struct ExponentialDecay {
  double initial_learning_rate;
  double decay_steps;
  double decay_rate;
  bool staircase = false;  ///< only whole multiples of decay_steps count

  operator LearningRateSchedule() const;
};

/// values[i] up to and including step boundaries[i], then the last. InvalidArgument unless
/// boundaries grow and there is one value more.
struct PiecewiseConstantDecay {
  std::vector<int64_t> boundaries;
  std::vector<double> values;

  operator LearningRateSchedule() const;
};

/// (initial - end) * (1 - step / decay_steps) ^ power + end, and end from decay_steps on.
struct PolynomialDecay {
  double initial_learning_rate;
  double decay_steps;
  double end_learning_rate = 0.0001;
  double power = 1;
  bool cycle = false;  ///< starts anew, over the next multiple of decay_steps

  operator LearningRateSchedule() const;
};

/// initial / (1 + decay_rate * step / decay_steps).
struct InverseTimeDecay {
  double initial_learning_rate;
  double decay_steps;
  double decay_rate;
  bool staircase = false;

  operator LearningRateSchedule() const;
};

/// Half a cosine from initial down to alpha * initial over decay_steps. With warmup_target: a line
/// from initial to the target over warmup_steps, then the cosine from there.
struct CosineDecay {
  double initial_learning_rate;
  double decay_steps;
  double alpha = 0;  ///< the share of the rate that is left in the end
  std::optional<double> warmup_target = {};
  int64_t warmup_steps = 0;

  operator LearningRateSchedule() const;
};

}  // namespace schedules
}  // namespace cohort::nn
