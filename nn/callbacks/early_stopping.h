#pragma once

#include <optional>
#include <string>

#include "cohort/nn/callback.h"

namespace cohort::nn {

/// Stops after `patience` epochs in which `monitor` did not get better by more than min_delta. With
/// restore_best_weights the model ends with the weights of its best epoch; it keeps the latest when
/// no epoch had one. NaN and infinities are never better. InvalidArgument when mode "auto" cannot
/// tell which way is better, and for a baseline or min_delta that is not finite.
struct EarlyStopping {
  std::string monitor = "val_loss";
  double min_delta = 0;
  int64_t patience = 0;
  int verbose = 0;
  std::string mode = "auto";  ///< "min", "max"; "auto": by the monitored name
  std::optional<double> baseline = {};
  bool restore_best_weights = false;
  int64_t start_from_epoch = 0;

  operator Callback() const;
};

}  // namespace cohort::nn
