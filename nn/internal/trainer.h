#pragma once

#include <memory>
#include <vector>

#include "distribute/strategy.h"
#include "nn/internal/compiled_state.h"
#include "nn/internal/objective.h"
#include "nn/model.h"

namespace cohort::nn {
class ModelImpl;
}

namespace cohort::nn::internal {

/// The components of a dataset's element, by meaning.
struct ElementLayout {
  data::ElementSpec spec;
  int num_inputs = 1;
  int64_t batch_size = 0;  ///< rows of a full batch; 0: not known
  ClassWeight class_weight = {};
};

/// The traced steps of a model: made once for each structure of the data, kept as long as the
/// model's compile() holds. What is trainable is settled when this is made, not when it traces.
class Trainer {
 public:
  Trainer(ModelImpl& model, CompileOptions options);

  /// Forward, losses, backward, reduction over replicas, update, metrics. Nothing is fetched.
  distribute::StepRunner& train_step(const ElementLayout& layout);
  /// Forward, losses, metrics.
  distribute::StepRunner& test_step(const ElementLayout& layout);
  /// Fetches the outputs.
  distribute::StepRunner& predict_step(const ElementLayout& layout);

  const CompileOptions& options() const { return options_; }
  Objective& objective() { return objective_; }
  int num_outputs() const { return num_outputs_; }
  /// The number of the next step: the batches that the optimizer has seen.
  distribute::StepNumber step_number() const;
  /// False once layers were added to the model or taken from it: its steps no longer hold.
  bool fits_model() const { return compiled_.holds(); }

 private:
  enum class Kind { kTrain, kTest, kPredict };
  struct Step {
    Kind kind;
    ElementLayout layout;
    Trace trace;
    std::unique_ptr<distribute::StepRunner> runner;
  };
  struct Batch {
    std::vector<Value> x, y, weights;
  };

  distribute::StepRunner& step(Kind kind, const ElementLayout& layout);
  std::vector<Value> record(Kind kind, const ElementLayout& layout, std::span<const Value> inputs);
  Batch split(const ElementLayout& layout, std::span<const Value> inputs, size_t num_outputs) const;
  void record_update(Objective::Terms& terms, const StepRows& rows);

  ModelImpl& model_;
  CompileOptions options_;
  CompiledState compiled_;
  Objective objective_;
  int num_outputs_ = 0;
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace cohort::nn::internal
