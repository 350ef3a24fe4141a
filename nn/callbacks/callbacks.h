#pragma once

#include <functional>
#include <string>

#include "cohort/nn/callback.h"
#include "cohort/nn/callbacks/backup_and_restore.h"
#include "cohort/nn/callbacks/early_stopping.h"
#include "cohort/nn/callbacks/history.h"
#include "cohort/nn/callbacks/learning_rate.h"
#include "cohort/nn/callbacks/model_checkpoint.h"
#include "cohort/nn/callbacks/progress_bar.h"
#include "cohort/nn/callbacks/step_report.h"
#include "cohort/nn/callbacks/step_trace.h"

namespace cohort::nn {

/// One line for each epoch: its number, then the logs in alphabetical order; "NA" where one is
/// missing. Throws from fit: NotFound when the file cannot be opened, DataLoss when it cannot be
/// written.
struct CSVLogger {
  std::string filename;
  std::string separator = ",";
  bool append = false;  ///< go on with an existing file, without a second header

  operator Callback() const;
};

/// Ends training when a batch's loss is NaN or infinite. Looks at the loss after every batch, which
/// on a GPU waits for it.
struct TerminateOnNaN {
  /// Throw an InvalidArgument instead of ending training.
  bool raise_error = false;

  operator Callback() const;
};

struct LambdaCallback {
  std::function<void(int64_t epoch)> on_epoch_begin = {};
  std::function<void(int64_t epoch, const Logs&)> on_epoch_end = {};
  std::function<void()> on_train_begin = {};
  std::function<void(const Logs&)> on_train_end = {};
  std::function<void(int64_t batch)> on_train_batch_begin = {};
  std::function<void(int64_t batch, const Logs&)> on_train_batch_end = {};

  operator Callback() const;
};

}  // namespace cohort::nn
