#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cohort/nn/handle.h"
#include "cohort/nn/logs.h"
#include "cohort/nn/named_tensors.h"
#include "cohort/nn/training_state.h"

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
  bool resumes = false;  ///< of fit: goes on from an earlier process, load_state() follows
};

/// A place of fit between two batches, when all callbacks have had their hooks: everything that
/// follows depends on the state there alone.
class Boundary {
 public:
  enum class Kind : uint8_t { kBatch, kEpoch, kTrainEnd };
  virtual ~Boundary() = default;
  Kind kind() const { return kind_; }
  int64_t epoch() const { return epoch_; }  ///< that the batch is of, or that has ended
  int64_t batch() const { return batch_; }  ///< the latest of the epoch
  /// That came to a process of the job, known to all alike (CallbackImpl::signal); 0: none.
  int signal() const { return signal_; }
  /// Everything besides weights and the optimizer's variables. Collective.
  virtual TrainingState state() const = 0;

 protected:
  Kind kind_ = Kind::kBatch;
  int64_t epoch_ = 0, batch_ = -1;
  int signal_ = 0;
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
/// numbers: one that prints or writes does so where params().is_chief. A stop that any worker asks
/// for, and a learning rate that the chief sets, hold for all workers from the same step on; a
/// learning rate set elsewhere has no effect. Hooks of an epoch's beginning and end have theirs at
/// once. What a batch hook asks for goes with the next execution (steps_per_execution batches), and
/// holds when that is done: one execution later than in one process. Until then
/// optimizer.learning_rate() is the one that all train with. Where all callbacks are
/// same_on_all_workers(), their wishes hold at once, as in one process.
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

  /// A signal that this process was sent and all workers are to know of; 0: none. Asked before
  /// every execution and at the end of an epoch where watches_signals() was true on some worker at
  /// the beginning; the boundary behind that execution has it on all of them.
  virtual int signal() const { return 0; }
  virtual bool watches_signals() const { return false; }
  /// After the hooks of a batch, an epoch and the end of training, unless fit is called inside of
  /// another one. Called on all workers alike.
  virtual void on_boundary(const Boundary& /*boundary*/) {}
  /// The state of this call of fit, its number `fit`, or of a later one that fit is to go on from;
  /// asked at its beginning. Weights and the optimizer's variables have their values of then when
  /// it returns one. Nothing: fit begins anew. Called on all workers alike, unless fit is called
  /// inside of another one.
  virtual std::optional<RestoredState> restore(int64_t /*fit*/) { return {}; }
  /// What a later process is told by load_state(), after on_train_begin(): whatever the hooks keep
  /// from one call to the next. on_epoch_begin() of an epoch that was interrupted is not called
  /// again. Names are for this callback alone; the chief's values count for all workers.
  virtual void save_state(NamedTensors& /*state*/) const {}
  virtual void load_state(const NamedTensors& /*state*/) {}

  /// True when what this callback does to the model follows from the logs alone, so that all
  /// workers do it at once and need not be told.
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
