#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "cohort/core/runtime/recently_used.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/internal/compiled_state.h"
#include "cohort/nn/internal/objective.h"
#include "cohort/nn/model.h"

namespace cohort::nn {
class ModelImpl;
struct StepBatch;
}  // namespace cohort::nn

namespace cohort::nn::internal {

/// The components of a dataset's element, by meaning.
struct ElementLayout {
  data::ElementSpec spec;
  int num_inputs = 1;
  int64_t batch_size = 0;  ///< rows of a full batch; 0: not known
  ClassWeight class_weight = {};
};

/// A step that stays alive while a loop runs it, whatever else is traced meanwhile.
using StepHandle = std::shared_ptr<distribute::StepRunner>;

/// The traced steps of a model: made once for each structure of the data, kept as long as the
/// model's compile() holds and memory allows. What is trainable is settled when this is made, not
/// when it traces. Threads may ask for steps at once; the objective is for one.
class Trainer {
 public:
  Trainer(ModelImpl& model, CompileOptions options);

  /// Forward, losses, backward, reduction over replicas, update, metrics. Fetches nothing but, in a
  /// job of several processes, the sum of what set_control() says over all replicas (f32).
  StepHandle train_step(const ElementLayout& layout);
  /// Forward, losses, metrics.
  StepHandle test_step(const ElementLayout& layout);
  /// Fetches the outputs.
  StepHandle predict_step(const ElementLayout& layout);

  const CompileOptions& options() const { return options_; }
  /// LossScale::check(), where the optimizer has one. Reads devices.
  void check_loss_scale() const;
  Objective& objective() { return objective_; }
  /// In a job of several processes: whether the training steps to come carry, in a lane of their
  /// first reduction, that this process has something to tell the others.
  void set_control(bool tells);
  int num_outputs() const { return num_outputs_; }
  /// False once layers were added to the model or taken from it: its steps no longer hold.
  bool fits_model() const { return compiled_.holds(); }

 private:
  enum class Kind { kTrain, kTest, kPredict };
  struct Step {
    Kind kind;
    ElementLayout layout;
    StepHandle runner;
    size_t num_bytes() const { return runner->num_bytes(); }
  };

  StepHandle step(Kind kind, const ElementLayout& layout);
  std::vector<Value> record(Kind kind, const ElementLayout& layout, std::span<const Value> inputs);
  StepBatch split(const ElementLayout& layout, std::span<const Value> inputs,
                  const std::vector<TensorType>& outputs) const;
  std::vector<TensorType> outputs_for(const std::vector<Value>& x);

  ModelImpl& model_;
  CompileOptions options_;
  CompiledState compiled_;
  Objective objective_;
  Variable control_;    ///< a scalar, of each process its own; none in a process alone
  bool tells_ = false;  ///< what it says
  std::atomic<int> num_outputs_ = 0;
  std::mutex mutex_;
  RecentlyUsed<Step> steps_;  // guarded by mutex_
};

}  // namespace cohort::nn::internal
