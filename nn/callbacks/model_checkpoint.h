#pragma once

#include <optional>
#include <string>

#include "cohort/nn/callback.h"
#include "cohort/nn/callbacks/save_frequency.h"

namespace cohort::nn {

struct ModelCheckpointOptions {
  /// A directory, made where it lacks, that the latest checkpoint of this path is in;
  /// "{epoch:02d}",
  /// "{batch}" (from 1, where save_freq is a number) and the logs' names, "{val_loss:.2f}", stand
  /// for their values.
  std::string filepath;
  std::string monitor = "val_loss";
  int verbose = 0;
  bool save_best_only = false;
  /// As Keras' model.save_weights: weights and the optimizer's variables. A checkpoint never holds
  /// more than those, so it makes no difference here.
  bool save_weights_only = false;
  std::string mode = "auto";  ///< "min", "max"; "auto": by the monitored name
  SaveFrequency save_freq = "epoch";
  std::optional<double> initial_value_threshold = {};  ///< the best so far
};

/// Saves the model, at the end of epochs or after some batches, always or where `monitor` has
/// become better: Checkpoint({{"model", model}}).restore(path) takes it back. InvalidArgument when
/// mode "auto" cannot tell which way is better, from fit for names in the path that the logs lack;
/// Unimplemented for a path that ends in ".keras" or ".h5": Keras' own files are not written.
class ModelCheckpoint : public Callback {
 public:
  explicit ModelCheckpoint(ModelCheckpointOptions options);
};

}  // namespace cohort::nn
