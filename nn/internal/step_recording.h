#pragma once

#include <string>
#include <vector>

#include "cohort/nn/internal/call_context.h"
#include "cohort/nn/internal/objective.h"
#include "cohort/nn/model_impl.h"

namespace cohort::nn::internal {

/// What the steps of a model do unless it overrides them, while one is recorded. Gradients and what
/// a batch adds to metrics are summed over the replicas in one go.
class StepRecording {
 public:
  /// `objective` and `options` are of the model's trainer.
  StepRecording(ModelImpl& model, Objective& objective, const CompileOptions& options);
  ~StepRecording();
  StepRecording(const StepRecording&) = delete;
  StepRecording& operator=(const StepRecording&) = delete;

  Value loss(const StepBatch& batch);
  void metrics(const StepBatch& batch);
  Value train(StepBatch batch);
  Value test(StepBatch batch);
  /// The step's sums are to have a lane for `flag`, of which each process has a value of its own.
  /// Before what the step does.
  void add_control_lane(const Variable& flag) { control_ = flag.read(); }
  /// Adds up what the step, which returned `loss`, left to be added. Returns the control lane's
  /// sum, undefined where there is none.
  Value finish(Value loss, const StepBatch& batch);

 private:
  std::vector<std::string> output_names(const StepBatch& batch) const;
  void predict(StepBatch& batch) const;
  void log(Value loss, const StepBatch& batch);
  void update(Value loss);
  void sum(std::vector<Gradient>& gradients);

  ModelImpl& model_;
  Objective& objective_;
  const CompileOptions& options_;
  LossCollector collector_;
  Objective::Terms terms_;
  Value control_;  ///< this replica's, then the sum
  bool logged_ = false, summed_ = false;
};

}  // namespace cohort::nn::internal
