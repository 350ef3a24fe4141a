#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cohort/nn/handle.h"
#include "cohort/nn/logs.h"

namespace cohort::nn {

class Callback;
class Model;
class ModelImpl;

/// What fit, evaluate or predict was called with.
struct CallbackParams {
  int verbose = 0;
  int64_t epochs = 1;
  int64_t steps = -1;    ///< of an epoch; -1: not known yet
  bool is_chief = true;  ///< whether this process prints and writes files
};

/// Where the time of a worker's steps went in an epoch: means of one step.
struct StepTimes {
  int64_t steps = 0;
  double input_us = 0;          ///< until the batch was there
  double compute_us = 0;        ///< in the step, without the next one
  double communication_us = 0;  ///< in waits for gradients of other replicas: what was not hidden
  double bytes_sent = 0;        ///< over the network
};

/// What a callback is: Keras' hooks, all of which do nothing here. A user's own derives from it and
/// overrides some; it can stop training by `model().set_stop_training(true)`. Called on the thread
/// that calls fit. In a job of several workers, every worker calls its callbacks with the same
/// numbers: one that prints or writes does so where params().is_chief. A stop or a learning rate
/// set on the chief holds for all workers from the next batch on; set elsewhere it has no effect.
/// A hook may call fit, evaluate and predict of any model, this one included: the run that it
/// belongs to goes on with its own metrics, batches and stop_training. In a job of several workers
/// all of them make such calls. compile() of a model that is running is refused.
/// Batches count from 0 within an epoch; with steps_per_execution k, batch hooks
/// are called once for every k batches.
class CallbackImpl {
 public:
  using HandleType = Callback;
  virtual ~CallbackImpl() = default;

  virtual void on_train_begin() {}
  virtual void on_train_end(const Logs&) {}
  virtual void on_epoch_begin(int64_t /*epoch*/) {}
  virtual void on_epoch_end(int64_t /*epoch*/, const Logs&) {}
  virtual void on_train_batch_begin(int64_t /*batch*/) {}
  virtual void on_train_batch_end(int64_t /*batch*/, const Logs&) {}
  virtual void on_test_begin() {}
  virtual void on_test_end(const Logs&) {}
  virtual void on_test_batch_begin(int64_t /*batch*/) {}
  virtual void on_test_batch_end(int64_t /*batch*/, const Logs&) {}
  virtual void on_predict_begin() {}
  /// At the end of a training epoch, before on_epoch_end, when wants_step_times() was true at its
  /// beginning: the times of every worker, in order.
  virtual void on_step_times(int64_t /*epoch*/, const std::vector<StepTimes>& /*workers*/) {}
  virtual bool wants_step_times() const { return false; }
  virtual void on_predict_end() {}
  virtual void on_predict_batch_begin(int64_t /*batch*/) {}
  virtual void on_predict_batch_end(int64_t /*batch*/) {}

  /// True when what this callback does to the model follows from the logs alone, so that all
  /// workers do it at once and need not ask the chief after every batch.
  virtual bool same_on_all_workers() const { return false; }

  const CallbackParams& params() const { return params_; }
  /// The model being trained; FailedPrecondition outside of fit, evaluate and predict.
  Model model() const;
  ModelImpl* model_or_null() const { return model_; }
  void set_params(const CallbackParams& params) { params_ = params; }
  void set_model(ModelImpl* model) { model_ = model; }

 private:
  CallbackParams params_;
  ModelImpl* model_ = nullptr;
};

/// A handle to a callback.
class Callback : public Handle<CallbackImpl> {
 public:
  using Handle::Handle;
};

}  // namespace cohort::nn
