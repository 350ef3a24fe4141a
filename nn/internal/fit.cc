#include <array>
#include <optional>

#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/fit_metrics.h"
#include "cohort/nn/internal/loop_metrics.h"
#include "cohort/nn/internal/loops.h"
#include "cohort/nn/internal/step_clock.h"

namespace cohort::nn::internal {
namespace {

void check(const FitOptions& options) {
  if (options.validation_freq < 1)
    throw InvalidArgument("fit: got validation_freq {}; want 1 or more", options.validation_freq);
  if (options.epochs < 0 || options.initial_epoch < 0)
    throw InvalidArgument("fit: got epochs {}, initial_epoch {}; want 0 or more", options.epochs,
                          options.initial_epoch);
}

/// One call of fit.
class Fit {
 public:
  Fit(ModelImpl& model, const FitData& data, const FitOptions& options)
      : model_(model),
        data_(data),
        options_(options),
        trainer_(model.compiled_trainer("fit")),
        stride_(trainer_.options().steps_per_execution),
        loop_metrics_(trainer_.objective()),
        logs_([this](std::vector<Logs::Entry>& entries) { loop_metrics_.read(entries); }),
        stopped_outside_(model.stop_training) {}

  ~Fit() {
    if (!loop_metrics_.is_outermost()) model_.stop_training = stopped_outside_;
  }

  History run() {
    History history;
    std::vector<Callback> all = with_progress_bar(options_.callbacks, options_.verbose.level());
    all.push_back(history);

    step_ = trainer_.train_step(data_.layout);
    const int64_t epochs = options_.epochs - options_.initial_epoch;
    EpochSource source(data_.input, model_.strategy(), data_.layout,
                       {.what = "fit",
                        .steps = options_.steps_per_epoch,
                        .begins_again = true,
                        .first_epoch = options_.initial_epoch,
                        .epochs = std::max<int64_t>(1, epochs)});
    CallbackList callbacks(
        std::move(all), model_,
        {.verbose = options_.verbose.level(), .epochs = options_.epochs, .steps = source.steps()});
    model_.stop_training = false;
    asks_chief_ = model_.strategy().workers().any("callbacks", !callbacks.same_on_all_workers());
    tells_times_ = model_.strategy().workers().any("step times", callbacks.want_step_times());
    MetricRegistry& metrics = default_runtime().metrics();
    if (metrics.served()) metrics_.emplace(metrics, *step_);
    if (tells_times_ || metrics_) clock_.emplace(*step_);
    Logs last;
    callbacks.call(&CallbackImpl::on_train_begin);
    for (int64_t epoch = options_.initial_epoch; epoch < options_.epochs; ++epoch) {
      loop_metrics_.reset();
      if (metrics_) metrics_->begin_epoch(epoch);
      callbacks.call(&CallbackImpl::on_epoch_begin, epoch);
      run_steps(source, callbacks);
      if (tells_times_)
        callbacks.call(&CallbackImpl::on_step_times, epoch,
                       clock_->take(model_.strategy().workers()));
      logs_.refresh();
      last = logs_;
      if (validates_after(epoch)) add_validation(last, callbacks);
      if (metrics_) metrics_->show(*clock_, last, true);
      callbacks.call(&CallbackImpl::on_epoch_end, epoch, last);
      follow_chief();
      if (model_.stop_training) break;
    }
    if (epochs > 0) trainer_.options().optimizer.finalize_variable_values();
    callbacks.call(&CallbackImpl::on_train_end, last);
    return history;
  }

 private:
  /// The hot loop: nothing here allocates, locks or looks up, unless a callback does.
  void run_steps(EpochSource& source, CallbackList& callbacks) {
    int64_t batch = 0;
    for (; source.next(); ++batch) {
      if (clock_) clock_->has_input();
      if (batch % stride_ == 0) callbacks.call(&CallbackImpl::on_train_batch_begin, batch);
      loop_metrics_.take();
      source.run(*step_, model_.step_number());
      model_.count_step();
      if (clock_) clock_->has_run();
      if (metrics_) metrics_->add_step(*clock_, source.batch().rows());
      if (batch % stride_ != stride_ - 1) continue;
      report(batch, callbacks);
      if (asks_chief_) follow_chief();
      if (model_.stop_training) return;
    }
    if (batch % stride_ != 0) report(batch - 1, callbacks);
  }

  /// Takes the chief's wish to stop and its learning rate, so that both hold for all workers from
  /// one step on.
  void follow_chief() {
    const Optimizer& optimizer = trainer_.options().optimizer;
    const bool scheduled = optimizer->options().learning_rate.is_scheduled();
    const double mine = scheduled ? 0 : optimizer.learning_rate();  // a schedule is the same on all
    std::array<double, 2> chiefs{model_.stop_training ? 1.0 : 0.0, mine};
    model_.strategy().workers().take_from_chief(chiefs);
    model_.stop_training = chiefs[0] != 0;
    if (chiefs[1] != mine) optimizer.set_learning_rate(chiefs[1]);
  }

  void report(int64_t batch, CallbackList& callbacks) {
    logs_.refresh();
    if (metrics_) metrics_->show(*clock_, logs_, false);
    callbacks.call(&CallbackImpl::on_train_batch_end, batch, logs_);
  }

  bool validates_after(int64_t epoch) const {
    return data_.validation && (epoch + 1) % options_.validation_freq == 0;
  }

  void add_validation(Logs& logs, CallbackList& callbacks) {
    const ElementLayout layout = located(
        kValidation, [&] { return layout_of(model_, *data_.validation, data_.layout.num_inputs); });
    const Logs validation = evaluate(model_, *data_.validation, layout, options_.validation_steps,
                                     callbacks, validated_ ? "" : kValidation, kValidation);
    validated_ = true;
    for (const auto& [name, value] : validation) logs.set("val_" + name, value);
  }

  ModelImpl& model_;
  const FitData& data_;
  const FitOptions& options_;
  const RunScope scope_{model_};
  Trainer& trainer_;
  int64_t stride_;
  LoopMetrics loop_metrics_;
  Logs logs_;
  const bool stopped_outside_;  ///< of a run around this one
  StepHandle step_;
  std::optional<StepClock> clock_;     ///< when somebody wants the times
  bool tells_times_ = false;           ///< a callback does, here or on another worker
  std::optional<FitMetrics> metrics_;  ///< when they are served
  bool asks_chief_ = false;            ///< after every batch
  bool validated_ = false;
};

}  // namespace

History fit(ModelImpl& model, const FitData& data, const FitOptions& options) {
  check(options);
  const auto entered = model.enter("fit()");
  model.warn_if_apart();
  return Fit(model, data, options).run();
}

}  // namespace cohort::nn::internal
