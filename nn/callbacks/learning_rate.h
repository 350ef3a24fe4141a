#pragma once

#include <functional>
#include <string>

#include "cohort/nn/callback.h"

namespace cohort::nn {

/// Sets the optimizer's learning rate before each epoch. Throws from fit: FailedPrecondition where
/// the optimizer has a schedule of its own. InvalidArgument without a schedule.
struct LearningRateScheduler {
  /// The rate of an epoch, from its number and the rate before it.
  std::function<double(int64_t epoch, double learning_rate)> schedule;
  int verbose = 0;

  operator Callback() const;
};

/// Multiplies the learning rate by `factor`, down to min_lr, after `patience` epochs in which
/// `monitor` did not get better by more than min_delta (NaN and infinities are never better).
/// InvalidArgument unless 0 < factor < 1, when mode "auto" cannot tell which way is better, and for
/// a min_delta that is not finite.
struct ReduceLROnPlateau {
  std::string monitor = "val_loss";
  double factor = 0.1;
  int64_t patience = 10;
  int verbose = 0;
  std::string mode = "auto";  ///< "min", "max"; "auto": by the monitored name
  double min_delta = 1e-4;
  int64_t cooldown = 0;  ///< epochs after a reduction that do not count
  double min_lr = 0;

  operator Callback() const;
};

}  // namespace cohort::nn
