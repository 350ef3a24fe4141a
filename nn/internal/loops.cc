#include "cohort/nn/internal/loops.h"

#include <algorithm>
#include <cstring>

#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/callbacks/progress_bar.h"
#include "cohort/nn/internal/loop_metrics.h"
#include "cohort/nn/internal/warning.h"

namespace cohort::nn::internal {
namespace {

/// More epochs than anyone waits for.
constexpr int64_t kEndless = int64_t{1} << 40;

int64_t epochs_of_data(const EpochOptions& options) {
  return options.steps && options.begins_again ? kEndless : options.epochs;
}

void check_steps(std::string_view what, const std::optional<int64_t>& steps) {
  if (steps && *steps < 1) throw InvalidArgument("{}: got {}; want 1 or more", what, *steps);
}

/// Tensors joined along their rows.
Tensor concatenate_rows(const std::vector<Tensor>& parts) {
  int64_t rows = 0;
  for (const Tensor& part : parts) rows += part.size(0);
  Shape shape = parts.front().shape();
  shape[0] = rows;
  Tensor all(parts.front().dtype(), shape);
  auto* to = static_cast<char*>(all.raw());
  for (const Tensor& part : parts) {
    std::memcpy(to, part.contiguous().raw(), part.num_bytes());
    to += part.num_bytes();
  }
  return all;
}

}  // namespace

EpochSource::EpochSource(const Input& input, const distribute::Strategy& strategy,
                         const ElementLayout& layout, EpochOptions options)
    : EpochSource(input, strategy, options,
                  Batches::iterate(input, strategy, layout.spec.size(),
                                   {.seed = default_runtime().random_seed(),
                                    .epoch = options.first_epoch,
                                    .epochs = epochs_of_data(options)})) {}

EpochSource::EpochSource(const Input& input, const distribute::Strategy& strategy,
                         const ElementLayout& layout, EpochOptions options,
                         const EpochPosition& from)
    : EpochSource(input, strategy, options,
                  Batches::resume(input, strategy, layout.spec.size(), from.input,
                                  epochs_of_data(options))) {
  taken_ = from.taken;
}

EpochSource::EpochSource(const Input& input, const distribute::Strategy& strategy,
                         EpochOptions options, std::unique_ptr<Batches> batches)
    : strategy_(strategy), options_(std::move(options)), batches_(std::move(batches)) {
  check_steps("steps", options_.steps);
  if (!options_.steps && input.cardinality() == data::kInfiniteCardinality)
    throw InvalidArgument("got an endless dataset; want a number of steps for each epoch");
  steps_ = steps_of(input, options_.steps);
}

int64_t EpochSource::steps_of(const Input& input, const std::optional<int64_t>& steps) {
  return steps ? *steps : std::max<int64_t>(-1, input.cardinality());
}

bool EpochSource::next() {
  if (options_.steps && taken_ == *options_.steps) {
    taken_ = 0;
    return false;
  }
  bool found = batches_->next();
  if (!found && options_.steps) found = next_after_the_end();
  if (!found && taken_ == 0)
    throw InvalidArgument("got a dataset without a batch; want one or more");
  taken_ = found ? taken_ + 1 : 0;
  return found;
}

/// The dataset has ended before the epoch's steps were there; false ends the epoch as well.
bool EpochSource::next_after_the_end() {
  const bool again = options_.begins_again && batches_->next();
  if (taken_ > 0 && !has_warned_ && !options_.what.empty()) {
    has_warned_ = true;
    warn(strategy_, "{}: got {} steps; the dataset ended after {} of them{}", options_.what,
         *options_.steps, taken_, again ? " and begins again: want more batches, or repeat()" : "");
  }
  return again;
}

CallbackList::CallbackList(std::vector<Callback> callbacks, ModelImpl& model, CallbackParams params)
    : callbacks_(std::move(callbacks)) {
  params.is_chief = model.strategy().is_chief();
  for (const Callback& callback : callbacks_) {
    CallbackImpl& impl = callback.impl();
    before_.push_back({impl.model_or_null(), impl.params()});
    impl.set_model(&model);
    impl.set_params(params);
  }
}

void CallbackList::set_resumes() {
  for (const Callback& callback : callbacks_) {
    CallbackParams params = callback.impl().params();
    params.resumes = true;
    callback.impl().set_params(params);
  }
}

bool CallbackList::want_step_times() const {
  return std::any_of(callbacks_.begin(), callbacks_.end(),
                     [](const Callback& c) { return c.impl().wants_step_times(); });
}

bool CallbackList::same_on_all_workers() const {
  return std::all_of(callbacks_.begin(), callbacks_.end(),
                     [](const Callback& c) { return c.impl().same_on_all_workers(); });
}

bool CallbackList::watch_signals() const {
  return std::any_of(callbacks_.begin(), callbacks_.end(),
                     [](const Callback& c) { return c.impl().watches_signals(); });
}

int CallbackList::signal() const {
  for (const Callback& callback : callbacks_)
    if (const int signal = callback.impl().signal(); signal != 0) return signal;
  return 0;
}

CallbackList::~CallbackList() {
  for (size_t i = callbacks_.size(); i-- > 0;) {
    callbacks_[i].impl().set_model(before_[i].model);
    callbacks_[i].impl().set_params(before_[i].params);
  }
}

std::vector<Callback> with_progress_bar(std::vector<Callback> callbacks, int verbose) {
  if (verbose > 0) callbacks.insert(callbacks.begin(), ProgressBar{});
  return callbacks;
}

Logs evaluate(ModelImpl& model, const Input& input, const ElementLayout& layout,
              std::optional<int64_t> steps, CallbackList& callbacks, std::string_view what,
              std::string_view where) {
  Trainer& trainer = model.compiled_trainer("evaluate");
  const auto entered = model.enter("evaluate()");
  const RunScope run(model);
  const StepHandle step = located(where, [&] { return trainer.test_step(layout); });
  EpochSource source = located(where, [&] {
    return EpochSource(input, model.strategy(), layout, {.what = what, .steps = steps});
  });
  const auto next = [&] { return located(where, [&] { return source.next(); }); };
  LoopMetrics metrics(trainer.objective());
  metrics.reset();
  Logs logs([&](std::vector<Logs::Entry>& entries) { metrics.read(entries); });
  distribute::StepNumber number = model.step_number();
  const int64_t stride = trainer.options().steps_per_execution;
  callbacks.call(&CallbackImpl::on_test_begin);
  for (int64_t batch = 0; next(); ++batch) {
    if (batch % stride == 0) callbacks.call(&CallbackImpl::on_test_batch_begin, batch);
    metrics.take();
    located(where, [&] { source.run(*step, number); });
    ++number.step;
    if (batch % stride != stride - 1) continue;
    logs.refresh();
    callbacks.call(&CallbackImpl::on_test_batch_end, batch, logs);
  }
  logs.refresh();
  callbacks.call(&CallbackImpl::on_test_end, logs);
  return Logs(logs.entries());  // numbers that stay: `logs` reads what the states hold by then
}

std::vector<Tensor> predict(ModelImpl& model, const Input& input, const ElementLayout& layout,
                            std::optional<int64_t> steps, CallbackList& callbacks) {
  Trainer& trainer = model.trainer();
  const RunScope run(model);
  const StepHandle step = trainer.predict_step(layout);
  EpochSource source(input, model.strategy(), layout, {.what = "predict", .steps = steps});
  std::vector<std::vector<Tensor>> parts(static_cast<size_t>(trainer.num_outputs()));
  const distribute::StepNumber number{.seed = default_runtime().random_seed()};
  callbacks.call(&CallbackImpl::on_predict_begin);
  for (int64_t batch = 0; source.next(); ++batch) {
    callbacks.call(&CallbackImpl::on_predict_batch_begin, batch);
    {
      const DeviceTurn turn = step->take_turn();  // others may predict, too
      source.run(*step, number);
      for (size_t i = 0; i < parts.size(); ++i)
        parts[i].push_back(step->gathered_output(static_cast<int>(i)));
    }
    callbacks.call(&CallbackImpl::on_predict_batch_end, batch);
  }
  callbacks.call(&CallbackImpl::on_predict_end);
  std::vector<Tensor> outputs;
  for (const std::vector<Tensor>& part : parts) outputs.push_back(concatenate_rows(part));
  return outputs;
}

}  // namespace cohort::nn::internal
