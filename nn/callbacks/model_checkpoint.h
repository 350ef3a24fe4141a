#pragma once

#include <optional>
#include <string>

#include "cohort/nn/callback.h"
#include "cohort/nn/callbacks/save_frequency.h"

namespace cohort::nn {

/// Saves the model, at the end of epochs or after some batches, always or where `monitor` has
/// become better: Checkpoint({{"model", model}}).restore(path), or model.load_weights(path) of a
/// ".weights.h5", takes it back. InvalidArgument when mode "auto" cannot tell which way is better,
/// from fit for names in the path that the logs lack; Unimplemented for a path that ends in
/// ".keras" or in another ".h5".
struct ModelCheckpoint {
  /// A directory, made where it lacks, that the latest checkpoint of this path is in; or, with
  /// save_weights_only, a file that ends in ".weights.h5". "{epoch:02d}", "{batch}" (from 1, where
  /// save_freq is a number) and the logs' names, "{val_loss:.2f}", stand for their values.
  std::string filepath;
  std::string monitor = "val_loss";
  int verbose = 0;
  bool save_best_only = false;
  /// For a ".weights.h5". A directory has weights and the optimizer's variables either way.
  bool save_weights_only = false;
  std::string mode = "auto";  ///< "min", "max"; "auto": by the monitored name
  SaveFrequency save_freq = "epoch";
  std::optional<double> initial_value_threshold = {};  ///< the best so far

  operator Callback() const;
};

}  // namespace cohort::nn
