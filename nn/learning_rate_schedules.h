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
class LearningRateScheduleImpl {
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
  LearningRate(double rate) : rate_(rate) {}                                   // NOLINT
  LearningRate(const LearningRateSchedule& schedule) : schedule_(schedule) {}  // NOLINT

  bool is_scheduled() const { return schedule_.defined(); }
  double rate() const { return rate_; }
  const LearningRateSchedule& schedule() const { return schedule_; }

 private:
  double rate_ = 0;
  LearningRateSchedule schedule_;
};

/// Keras' schedules, computed in f32. All throw InvalidArgument unless decay_steps > 0.
namespace schedules {

struct ExponentialDecayOptions {
  double initial_learning_rate;
  double decay_steps;
  double decay_rate;
  bool staircase = false;  ///< only whole multiples of decay_steps count
};
/// initial * decay_rate ^ (step / decay_steps).
class ExponentialDecay : public LearningRateSchedule {
 public:
  explicit ExponentialDecay(ExponentialDecayOptions options);
};

struct PiecewiseConstantDecayOptions {
  std::vector<int64_t> boundaries;
  std::vector<double> values;
};
/// values[i] up to and including step boundaries[i], then the last. InvalidArgument unless
/// boundaries grow and there is one value more.
class PiecewiseConstantDecay : public LearningRateSchedule {
 public:
  explicit PiecewiseConstantDecay(PiecewiseConstantDecayOptions options);
};

struct PolynomialDecayOptions {
  double initial_learning_rate;
  double decay_steps;
  double end_learning_rate = 0.0001;
  double power = 1;
  bool cycle = false;  ///< starts anew, over the next multiple of decay_steps
};
/// (initial - end) * (1 - step / decay_steps) ^ power + end, and end from decay_steps on.
class PolynomialDecay : public LearningRateSchedule {
 public:
  explicit PolynomialDecay(PolynomialDecayOptions options);
};

struct InverseTimeDecayOptions {
  double initial_learning_rate;
  double decay_steps;
  double decay_rate;
  bool staircase = false;
};
/// initial / (1 + decay_rate * step / decay_steps).
class InverseTimeDecay : public LearningRateSchedule {
 public:
  explicit InverseTimeDecay(InverseTimeDecayOptions options);
};

struct CosineDecayOptions {
  double initial_learning_rate;
  double decay_steps;
  double alpha = 0;  ///< the share of the rate that is left in the end
  std::optional<double> warmup_target = {};
  int64_t warmup_steps = 0;
};
/// Half a cosine from initial down to alpha * initial over decay_steps. With warmup_target: a line
/// from initial to the target over warmup_steps, then the cosine from there.
class CosineDecay : public LearningRateSchedule {
 public:
  explicit CosineDecay(CosineDecayOptions options);
};

}  // namespace schedules
}  // namespace cohort::nn
