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
class Trainer;
}  // namespace internal

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
///     nn::Layer hidden_ = child("hidden", nn::Dense({.units = 64, .activation = "relu"}));
///     nn::Layer head_ = child("head", nn::Dense({.units = 10}));
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

  /// The strategy in whose scope the model was made.
  const distribute::Strategy& strategy() const { return strategy_; }
  /// FailedPrecondition in a callback of this model's fit, evaluate or predict.
  void compile(CompileOptions options);
  bool compiled() const;
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

 private:
  void drop_outdated_trainer();

  distribute::Strategy strategy_;
  std::unique_ptr<internal::Trainer> trainer_, outdated_trainer_;
  bool compiled_ = false;
  bool warned_ = false;
  int64_t steps_trained_ = 0;
  OneThread one_thread_;
  friend class internal::RunScope;
  std::atomic<int> runs_{0};  ///< calls of fit, evaluate and predict under way
};

}  // namespace cohort::nn
