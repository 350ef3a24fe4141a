#include "cohort/nn/internal/trainer.h"

#include <algorithm>

#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/step_recording.h"
#include "cohort/nn/loss_scale.h"

namespace cohort::nn::internal {
namespace {

bool same(const ElementLayout& a, const ElementLayout& b) {
  return a.spec == b.spec && a.num_inputs == b.num_inputs && a.batch_size == b.batch_size &&
         a.class_weight == b.class_weight;
}

/// The components' types with the batch as a symbol.
Signature signature_of(const ElementLayout& layout, const std::string& model) {
  Signature signature;
  for (const data::ComponentSpec& component : layout.spec) {
    if (component.shape.rank() == 0)
      throw InvalidArgument("{}: got a dataset of scalars; want batches [N, …]: call batch()",
                            model);
    TensorType type{component.dtype, component.shape};
    type.shape[0] = batch_dim();
    signature.push_back(type);
  }
  return signature;
}

/// The number of each label's class: class numbers [N, …] or [N, …, 1], which may be floating, or
/// one-hot rows [N, …, K], which have the predictions' rank.
Value class_numbers(Value labels, int rank) {
  if (labels.rank() > 1 && labels.shape()[labels.rank() - 1] == 1)
    labels = ops::squeeze(labels, -1);
  else if (labels.rank() > 1 && labels.rank() == rank)
    labels = ops::argmax(labels, -1);
  if (is_floating(labels.dtype())) labels = ops::round(labels);
  return ops::cast(labels, DType::kI64);
}

/// Each label's weight. Every class that is not named, one to be ignored included, weighs 1.
Value weights_of_classes(const ClassWeight& class_weight, Value labels, int rank) {
  const int64_t others = class_weight.rbegin()->first + 1;
  std::vector<float> table(static_cast<size_t>(others) + 1, 1.0f);
  for (const auto& [number, weight] : class_weight) {
    if (number < 0) throw InvalidArgument("class_weight: got class {}; want 0 or more", number);
    table[static_cast<size_t>(number)] = static_cast<float>(weight);
  }
  const Value weights = ops::constant(Tensor::from(table, Shape{others + 1}));
  const Value number = class_numbers(labels, rank);
  const auto constant = [](int64_t x) { return ops::constant(Tensor::scalar(x)); };
  const Value named = ops::logical_and(ops::greater_equal(number, constant(0)),
                                       ops::less(number, constant(others)));
  return ops::gather(weights, ops::where(named, number, constant(others)));
}

}  // namespace

Trainer::Trainer(ModelImpl& model, CompileOptions options)
    : model_(model), options_(std::move(options)), compiled_(model), objective_(options_) {
  if (model.strategy().workers().count() > 1)
    control_ = Variable(std::make_shared<VariableState>(
        Tensor::scalar(0.0f), VariableOptions{.name = "control", .trainable = false}));
}

void Trainer::set_control(bool tells) {
  if (tells == tells_) return;
  control_.assign(Tensor::scalar(tells ? 1.0f : 0.0f));
  tells_ = tells;
}

StepHandle Trainer::train_step(const ElementLayout& layout) { return step(Kind::kTrain, layout); }
StepHandle Trainer::test_step(const ElementLayout& layout) { return step(Kind::kTest, layout); }
StepHandle Trainer::predict_step(const ElementLayout& layout) {
  return step(Kind::kPredict, layout);
}

void Trainer::check_loss_scale() const {
  const Optimizer& optimizer = options_.optimizer;
  if (optimizer.defined() && optimizer->loss_scale()) optimizer->loss_scale()->check();
}

StepHandle Trainer::step(Kind kind, const ElementLayout& layout) {
  const std::lock_guard lock(mutex_);
  const auto matches = [&](const Step& known) {
    return known.kind == kind && same(known.layout, layout);
  };
  if (const Step* known = steps_.find(matches)) return known->runner;
  static constexpr const char* kNames[] = {"train_step", "test_step", "predict_step"};
  Trace made = trace([&](std::span<const Value> inputs) { return record(kind, layout, inputs); },
                     signature_of(layout, model_.name()), kNames[static_cast<int>(kind)]);
  made.counts_commits = kind == Kind::kTrain;
  return steps_
      .add({kind, layout, model_.strategy().make_runner(made, layout.batch_size)},
           "steps of " + model_.name())
      .runner;
}

StepBatch Trainer::split(const ElementLayout& layout, std::span<const Value> inputs,
                         const std::vector<TensorType>& outputs) const {
  const size_t num_outputs = outputs.size();
  const auto x_end = static_cast<size_t>(layout.num_inputs);
  const size_t y_end = x_end + num_outputs;
  const size_t extra = inputs.size() < y_end ? 0 : inputs.size() - y_end;
  if (inputs.size() < y_end || (extra != 0 && extra != 1 && extra != num_outputs))
    throw InvalidArgument(
        "{}: got {} components; want {} inputs, {} labels and no sample weights, one or {}",
        model_.name(), inputs.size(), x_end, num_outputs, num_outputs);
  StepBatch batch;
  batch.x.assign(inputs.begin(), inputs.begin() + layout.num_inputs);
  batch.y.assign(inputs.begin() + static_cast<int64_t>(x_end),
                 inputs.begin() + static_cast<int64_t>(y_end));
  batch.sample_weight.assign(inputs.begin() + static_cast<int64_t>(y_end), inputs.end());
  if (layout.class_weight.empty()) return batch;
  if (!batch.sample_weight.empty())
    throw InvalidArgument("{}: got class_weight and sample_weight; want one of them",
                          model_.name());
  if (num_outputs > 1)
    throw InvalidArgument("{}: got class_weight for {} outputs; want a model with one",
                          model_.name(), num_outputs);
  batch.sample_weight = {
      weights_of_classes(layout.class_weight, batch.y[0], outputs[0].shape.rank())};
  return batch;
}

std::vector<Value> Trainer::record(Kind kind, const ElementLayout& layout,
                                   std::span<const Value> inputs) {
  if (static_cast<int>(inputs.size()) < layout.num_inputs)
    throw InvalidArgument("{}: got {} components; want {} inputs and their labels", model_.name(),
                          inputs.size(), layout.num_inputs);
  const CompiledScope as_compiled(compiled_);
  const std::vector<Value> x(inputs.begin(), inputs.begin() + layout.num_inputs);
  if (kind == Kind::kPredict) {
    const std::vector<Value> predictions = model_.apply(x, {});
    num_outputs_ = static_cast<int>(predictions.size());
    return predictions;
  }
  StepBatch batch = split(layout, inputs, outputs_for(x));
  batch.training = kind == Kind::kTrain;
  StepRecording recording(model_, objective_, options_);
  if (!batch.training) {
    recording.finish(model_.test_step(batch), batch);
    return {};
  }
  if (control_.shared()) recording.add_control_lane(control_);
  const Value control = recording.finish(model_.train_step(batch), batch);
  return control.defined() ? std::vector<Value>{control} : std::vector<Value>();
}

/// What the model gives for x: it is built then.
std::vector<TensorType> Trainer::outputs_for(const std::vector<Value>& x) {
  if (!model_.built() || model_.output_types().empty()) {
    std::vector<TensorType> types;
    for (const Value& input : x) types.push_back(input.type());
    model_.build_for(types);
  }
  num_outputs_ = static_cast<int>(model_.output_types().size());
  return model_.output_types();
}

}  // namespace cohort::nn::internal
