#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "cohort/core/runtime/one_thread.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/model.h"

namespace cohort::nn {

namespace internal {
class RunScope;
class StepRecording;
class Trainer;
}  // namespace internal

/// What a step of fit or evaluate works on: this replica's rows, in the graph being traced.
struct StepBatch {
  std::vector<Value> x;              ///< the model's inputs
  std::vector<Value> y;              ///< labels, one for each output
  std::vector<Value> sample_weight;  ///< none, one for all outputs, or one for each
  bool training = false;
  std::vector<Value> y_pred = {};  ///< what the model gave for x; empty before it was called
};

/// What a model is; a user's own derives from it, makes its layers with child() and overrides
/// call():
///
///   class Classifier : public nn::ModelImpl {
///    public:
///     Classifier() : ModelImpl("Classifier") {}
///     std::vector<Value> call(const nn::CallArgs& args) override {
///       return {head_(hidden_(args.input()))};
///     }
///    private:
///     nn::Layer hidden_ = child("hidden", nn::Dense{.units = 64, .activation = "relu"});
///     nn::Layer head_ = child("head", nn::Dense{.units = 10});
///   };
///   nn::Model model = nn::make<Classifier>();
class ModelImpl : public LayerImpl {
 public:
  using HandleType = Model;

  explicit ModelImpl(std::string type_name, LayerOptions options = {});
  ~ModelImpl() override;

  /// How many components of a dataset's element go to call(); the others are labels and weights.
  virtual int num_inputs() const { return 1; }
  /// One for each output, once the model is built, no two alike: "output_1", … unless overridden.
  virtual std::vector<std::string> output_names() const;

  // --- what a step of fit or evaluate is: overridden for a training of one's own ---------------
  // Each is recorded once for each structure of the data and runs on every replica of the strategy,
  // with that replica's rows. So a loss is this replica's share of that of the global batch, as all
  // losses here are: a number of each row goes through compute_average_loss(). Gradients that go
  // through apply_gradients() and metrics that update_state() adds to are sums over replicas.

  /// This replica's share of the loss: what compile() was given, weighted, and the penalties of
  /// layers and weights. An override need not call it; what it returns is logged as "loss".
  virtual Value compute_loss(const StepBatch& batch);
  /// Adds to metrics: those that compile() was given. An override may add to others, see track().
  virtual void compute_metrics(const StepBatch& batch);
  /// A training step: batch.y_pred = apply(batch.x, {.training = true}), compute_loss(), gradients,
  /// update, compute_metrics(). Returns the loss, which is logged. An override may do all of it
  /// otherwise, with several losses and optimizers:
  ///
  ///   const std::vector<nn::Variable> variables = handle().trainable_weights();
  ///   const nn::Optimizer update = optimizer();
  ///   update.apply_gradients(nn::zip(nn::gradients(loss, variables), variables));
  virtual Value train_step(StepBatch batch);
  /// A step of evaluate: predictions, compute_loss(), compute_metrics().
  virtual Value test_step(StepBatch batch);

  /// The strategy in whose scope the model was made.
  const distribute::Strategy& strategy() const { return strategy_; }
  /// FailedPrecondition in a callback of this model's fit, evaluate or predict.
  void compile(CompileOptions options);
  bool compiled() const;
  /// Null before compile(). A new optimizer that scales losses is in the place of the one given.
  const CompileOptions* compile_options() const;
  /// FailedPrecondition that names `what` when compile() was not called since the layers are what
  /// they are.
  internal::Trainer& compiled_trainer(std::string_view what);
  /// Serves prediction also before compile().
  internal::Trainer& trainer();
  bool stop_training = false;

  // For the loops that run it.
  /// The next training step's, for its random numbers. State of the model's own: a new optimizer,
  /// or one that counts otherwise, repeats none.
  distribute::StepNumber step_number() const;
  void count_step() { ++steps_trained_; }
  int64_t steps_trained() const { return steps_trained_; }
  void set_steps_trained(int64_t steps) { steps_trained_ = steps; }
  /// Calls of fit that are not inside of others, and what they have come to, in order: in this
  /// process, or in one that it goes on from.
  int64_t fits_begun = 0;
  std::vector<FinishedFit> finished_fits;
  /// Of compile(); undefined before.
  Optimizer optimizer() const;
  /// Keeps other threads from compiling, fitting and evaluating it, and from what is collective;
  /// FailedPrecondition names the one that does so already. `what` is a literal: "fit()".
  struct Entered {
    OneThread::Entered model, workers;
  };
  [[nodiscard]] Entered enter(const char* what);
  /// Says once when the model does not train with the processes of the job.
  void warn_if_apart();

 protected:
  bool converts_inputs() const override { return false; }
  /// call() of a mixed model gets its inputs as its weights, so that it can compute with both.
  bool casts_inputs() const override { return dtype_policy().is_mixed(); }
  Model handle();
  /// A metric of the model's own: it is logged, and begins anew with every epoch and evaluate. An
  /// override above adds to it with update_state().
  Metric track(const Metric& metric);

 private:
  void drop_outdated_trainer();

  distribute::Strategy strategy_;
  std::unique_ptr<internal::Trainer> trainer_, outdated_trainer_;
  internal::StepRecording& recording(std::string_view what);

  bool compiled_ = false;
  bool warned_ = false;
  std::vector<Metric> tracked_;
  internal::StepRecording* recording_ = nullptr;  ///< while a step is recorded
  friend class internal::StepRecording;
  int64_t steps_trained_ = 0;
  OneThread one_thread_;
  friend class internal::RunScope;
  std::atomic<int> runs_{0};  ///< calls of fit, evaluate and predict under way
};

}  // namespace cohort::nn
