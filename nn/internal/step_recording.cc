#include "cohort/nn/internal/step_recording.h"

#include <fmt/ranges.h>

#include <set>

#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/state.h"
#include "cohort/nn/internal/warning.h"

namespace cohort::nn {

internal::StepRecording& ModelImpl::recording(std::string_view what) {
  if (!recording_)
    throw FailedPrecondition("{}: {}: got a call outside of a step of fit or evaluate", name(),
                             what);
  return *recording_;
}

Value ModelImpl::compute_loss(const StepBatch& batch) {
  return recording("compute_loss").loss(batch);
}
void ModelImpl::compute_metrics(const StepBatch& batch) {
  recording("compute_metrics").metrics(batch);
}
Value ModelImpl::train_step(StepBatch batch) {
  return recording("train_step").train(std::move(batch));
}
Value ModelImpl::test_step(StepBatch batch) {
  return recording("test_step").test(std::move(batch));
}

Metric ModelImpl::track(const Metric& metric) {
  tracked_.push_back(metric);
  return metric;
}

}  // namespace cohort::nn

namespace cohort::nn::internal {

StepRecording::StepRecording(ModelImpl& model, Objective& objective, const CompileOptions& options)
    : model_(model), objective_(objective), options_(options) {
  objective_.begin();
  model_.recording_ = this;
}
StepRecording::~StepRecording() { model_.recording_ = nullptr; }

std::vector<std::string> StepRecording::output_names(const StepBatch& batch) const {
  const size_t outputs = batch.y_pred.size();
  std::vector<std::string> names = model_.output_names();
  if (names.size() != outputs ||
      std::set<std::string>(names.begin(), names.end()).size() != outputs)
    throw InvalidArgument("{}: got output_names {} for {} outputs; want one for each, no two alike",
                          model_.name(), fmt::join(names, ", "), outputs);
  if (batch.y.size() != outputs)
    throw InvalidArgument("{}: got {} labels and {} predictions in a step; want as many",
                          model_.name(), batch.y.size(), outputs);
  return names;
}

Value StepRecording::loss(const StepBatch& batch) {
  // Penalties of weights are the same on all replicas; losses are sums of shares.
  std::vector<Value> penalties = collector_.losses();
  for (const Value& penalty : model_.regularization_losses())
    penalties.push_back(ops::replica_share(penalty));
  const std::vector<std::string> names = output_names(batch);
  return objective_.record_losses({names, batch.y, batch.y_pred, batch.sample_weight}, penalties,
                                  terms_);
}

void StepRecording::metrics(const StepBatch& batch) {
  const std::vector<std::string> names = output_names(batch);
  objective_.record_metrics({names, batch.y, batch.y_pred, batch.sample_weight}, terms_);
}

void StepRecording::predict(StepBatch& batch) const {
  batch.y_pred = model_.apply(batch.x, {.training = batch.training});
}

void StepRecording::log(Value loss, const StepBatch& batch) {
  objective_.record_total(loss, batch.y_pred.empty() ? batch.x[0] : batch.y_pred[0], terms_);
  logged_ = true;
}

Value StepRecording::train(StepBatch batch) {
  predict(batch);
  const Value loss = model_.compute_loss(batch);
  log(loss, batch);
  model_.compute_metrics(batch);
  update(loss);
  return loss;
}

Value StepRecording::test(StepBatch batch) {
  predict(batch);
  const Value loss = model_.compute_loss(batch);
  log(loss, batch);
  model_.compute_metrics(batch);
  return loss;
}

void StepRecording::update(Value loss) {
  if (!options_.optimizer.defined())
    throw FailedPrecondition("{}: compile: got no optimizer; want one for training", model_.name());
  const Layer model(std::static_pointer_cast<LayerImpl>(model_.shared_from_this()));
  const std::vector<Variable> variables = model.trainable_weights();
  if (variables.empty())
    warn(model_.strategy(), "{}: no trainable weight: training changes statistics only",
         model_.name());
  std::vector<Gradient> gradients =
      variables.empty() ? std::vector<Gradient>()
                        : nn::gradients(options_.optimizer.scale_loss(loss), variables);
  sum(gradients);
  if (!variables.empty()) options_.optimizer.impl().apply(gradients, variables);
}

void StepRecording::sum(std::vector<Gradient>& gradients) {
  if (control_.defined()) terms_.contributions.push_back(control_);
  ops::sum_over_replicas(gradients, terms_.contributions);
  summed_ = true;
  if (!control_.defined()) return;
  control_ = terms_.contributions.back();
  terms_.contributions.pop_back();
}

Value StepRecording::finish(Value loss, const StepBatch& batch) {
  if (!loss.defined() || loss.rank() != 0)
    throw InvalidArgument(
        "{}: got a step that returns {}; want this replica's share of the loss, "
        "a scalar",
        model_.name(), loss.defined() ? loss.shape().to_string() : "no loss");
  if (!logged_) {
    if (summed_) throw FailedPrecondition("{}: got a loss after the step's sums", model_.name());
    log(loss, batch);
  }
  if (!summed_) {
    std::vector<Gradient> none;
    sum(none);
  }
  for (size_t i = 0; i < terms_.states.size(); ++i)
    ops::assign_add(terms_.states[i].shared(), terms_.contributions[i]);
  objective_.end(model_.output_names(), model_.tracked_);
  return control_;
}

}  // namespace cohort::nn::internal
