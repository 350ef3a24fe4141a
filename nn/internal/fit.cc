#include <optional>

#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/control_word.h"
#include "cohort/nn/internal/fit_metrics.h"
#include "cohort/nn/internal/fit_state.h"
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
class Fit final : private Boundary {
 public:
  Fit(ModelImpl& model, const FitData& data, const FitOptions& options)
      : model_(model),
        data_(data),
        options_(options),
        trainer_(model.compiled_trainer("fit")),
        stride_(trainer_.options().steps_per_execution),
        loop_metrics_(trainer_.objective()),
        logs_([this](std::vector<Logs::Entry>& entries) { loop_metrics_.read(entries); }),
        stopped_outside_(model.stop_training),
        number_(model, loop_metrics_.is_outermost()) {}

  ~Fit() {
    if (!loop_metrics_.is_outermost()) model_.stop_training = stopped_outside_;
  }

  History run() {
    step_ = trainer_.train_step(data_.layout);
    std::vector<Callback> all = with_progress_bar(options_.callbacks, options_.verbose.level());
    all.push_back(history_);
    CallbackList callbacks(std::move(all), model_,
                           {.verbose = options_.verbose.level(),
                            .epochs = options_.epochs,
                            .steps = EpochSource::steps_of(data_.input, options_.steps_per_epoch)});
    const std::optional<RestoredState> from = find_state();
    if (is_over(from)) {
      if (from) take_numbers(from->state, model_);
      return finished_before();
    }
    if (from) callbacks.set_resumes();
    next_epoch_ = from ? from->state.epoch : options_.initial_epoch;
    source_.emplace(make_source(from));
    model_.stop_training = false;
    control_.emplace(model_, trainer_, *step_, callbacks);
    tells_times_ = model_.strategy().workers().any("step times", callbacks.want_step_times());
    MetricRegistry& metrics = default_runtime().metrics();
    if (metrics.served()) metrics_.emplace(metrics, *step_);
    if (tells_times_ || metrics_) clock_.emplace(*step_);
    callbacks.call(&CallbackImpl::on_train_begin);
    if (from) go_on(*from);
    const bool has_stopped = model_.stop_training && from && from->state.batch == 0;
    while (next_epoch_ < options_.epochs && !has_stopped) {
      run_epoch(callbacks);
      if (model_.stop_training) break;
    }
    if (options_.epochs > options_.initial_epoch)
      trainer_.options().optimizer.finalize_variable_values();
    callbacks.call(&CallbackImpl::on_train_end, last_);
    number_.finish({.epochs = options_.epochs,
                    .stopped = model_.stop_training,
                    .history = state_of(history_)});
    meet(Kind::kTrainEnd, callbacks);
    return history_;
  }

 private:
  /// What fit goes on from, on all workers alike.
  std::optional<RestoredState> find_state() {
    if (!number_.counts()) return {};
    if (number_.value() < std::ssize(model_.finished_fits)) return {};
    for (const Callback& callback : options_.callbacks) {
      std::optional<RestoredState> found = callback.impl().restore(number_.value());
      if (!found) continue;
      model_.finished_fits = found->state.finished_fits;
      return found;
    }
    return {};
  }

  /// Whether this call ended in another process, with as many epochs as it is to have.
  bool is_over(const std::optional<RestoredState>& from) const {
    if (!number_.counts() || number_.value() >= std::ssize(model_.finished_fits)) return false;
    const FinishedFit& fit = model_.finished_fits[static_cast<size_t>(number_.value())];
    const bool is_latest = from && from->state.fit == number_.value();
    return !is_latest || fit.stopped || fit.epochs >= options_.epochs;
  }

  /// The calls after this one, which ended there, too, stay known.
  History finished_before() {
    const FinishedFit fit = model_.finished_fits[static_cast<size_t>(number_.value())];
    if (fit.history.empty())
      throw FailedPrecondition(
          "fit: got call {} of the model, which ended with an error in the process that this one "
          "goes on from; want it to be left out",
          number_.value());
    number_.keep();
    model_.stop_training = fit.stopped;
    return history_of(fit.history);
  }

  EpochSource make_source(const std::optional<RestoredState>& from) const {
    const EpochOptions options{.what = "fit",
                               .steps = options_.steps_per_epoch,
                               .begins_again = true,
                               .first_epoch = options_.initial_epoch,
                               .epochs = std::max<int64_t>(1, options_.epochs - next_epoch_)};
    if (!from) return EpochSource(data_.input, model_.strategy(), data_.layout, options);
    return EpochSource(data_.input, model_.strategy(), data_.layout, options,
                       {.input = from->state.input, .taken = from->state.batch});
  }

  /// Behind on_train_begin().
  void go_on(const RestoredState& from) {
    load(from, model_, loop_metrics_, files(), options_);
    history_.impl().load_state(from.state.history);
    model_.finished_fits.resize(static_cast<size_t>(number_.value()));
    model_.stop_training = from.state.stop_training;
    control_->restore(
        {.stop = from.state.stop_wished, .learning_rate = from.state.learning_rate_wished});
    last_ = Logs(from.state.logs);
    batches_done_ = from.state.batch;
  }

  TrainingState state() const override {
    const bool in_epoch = kind() == Kind::kBatch;
    EpochPosition position = source_->position();
    const Wishes wishes = in_epoch ? control_->pending() : Wishes();
    return agreed(model_.strategy().workers(),
                  {.fit = number_.value(),
                   .epochs = options_.epochs,
                   .epoch = next_epoch_,
                   .batch = in_epoch ? batch() + 1 : 0,
                   .stop_training = in_epoch ? control_->stops() : model_.stop_training,
                   .stop_wished = wishes.stop,
                   .learning_rate_wished = wishes.learning_rate,
                   .finished = kind() == Kind::kTrainEnd,
                   .commit_number = model_.strategy().commit_number(),
                   .seed = default_runtime().random_seed(),
                   .input = std::move(position.input),
                   .files = files(),
                   .metrics = in_epoch ? loop_metrics_.states() : std::vector<Tensor>(),
                   .logs = last_.entries(),
                   .callbacks = states_of(options_.callbacks),
                   .callback_types = types_of(options_.callbacks),
                   .history = state_of(history_),
                   .finished_fits = model_.finished_fits});
  }

  /// As they are when they are looked at first.
  const std::vector<std::string>& files() const {
    if (!files_) files_ = data_.input.files();
    return *files_;
  }

  void meet(Kind kind, CallbackList& callbacks) {
    if (!number_.counts()) return;
    kind_ = kind;
    signal_ = control_->signal();
    callbacks.call(&CallbackImpl::on_boundary, static_cast<const Boundary&>(*this));
  }

  /// The one under way, or what is left of it.
  void run_epoch(CallbackList& callbacks) {
    epoch_ = next_epoch_;
    if (batches_done_ == 0) {
      loop_metrics_.reset();
      callbacks.call(&CallbackImpl::on_epoch_begin, epoch_);
    }
    if (metrics_) metrics_->begin_epoch(epoch_);
    const bool has_stopped = model_.stop_training && batches_done_ > 0;
    control_->begin_epoch();
    if (!has_stopped) run_steps(*source_, callbacks);
    batches_done_ = 0;
    if (tells_times_)
      callbacks.call(&CallbackImpl::on_step_times, epoch_,
                     clock_->take(model_.strategy().workers()));
    logs_.refresh();
    last_ = logs_;
    trainer_.check_loss_scale();
    if (validates_after(epoch_)) add_validation(last_, callbacks);
    if (metrics_) metrics_->show(*clock_, last_, true);
    callbacks.call(&CallbackImpl::on_epoch_end, epoch_, last_);
    control_->end_epoch();
    ++next_epoch_;
    meet(Kind::kEpoch, callbacks);
  }

  /// The hot loop: nothing here allocates, locks or looks up, unless a callback does.
  void run_steps(EpochSource& source, CallbackList& callbacks) {
    int64_t batch = batches_done_;
    for (; source.next(); ++batch) {
      if (clock_) clock_->has_input();
      if (batch % stride_ == 0) {
        callbacks.call(&CallbackImpl::on_train_batch_begin, batch);
        control_->tell();
      }
      loop_metrics_.take();
      source.run(*step_, model_.step_number());
      model_.count_step();
      if (clock_) clock_->has_run();
      if (metrics_) metrics_->add_step(*clock_, source.batch().rows());
      if (batch % stride_ != stride_ - 1) continue;
      control_->listen();
      report(batch, callbacks);
      control_->hold();
      batch_ = batch;
      meet(Kind::kBatch, callbacks);
      if (!control_->stops()) continue;
      model_.stop_training = true;
      return;
    }
    if (batch % stride_ != 0) report(batch - 1, callbacks);
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
  FitNumber number_;
  History history_;
  StepHandle step_;
  mutable std::optional<ControlWord> control_;  ///< pending() is of what is saved
  std::optional<EpochSource> source_;
  mutable std::optional<std::vector<std::string>> files_;
  int64_t next_epoch_ = 0;             ///< the one under way, or to come
  int64_t batches_done_ = 0;           ///< of it, in an earlier process
  Logs last_;                          ///< of the latest epoch
  std::optional<StepClock> clock_;     ///< when somebody wants the times
  bool tells_times_ = false;           ///< a callback does, here or on another worker
  std::optional<FitMetrics> metrics_;  ///< when they are served
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
