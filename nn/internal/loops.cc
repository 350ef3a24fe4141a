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

data::Iterator start(const data::Dataset& dataset, const distribute::Strategy& strategy,
                     const EpochOptions& options) {
  strategy.workers().check_equal(
      "dataset", fmt::format("{} batches of {}", dataset.cardinality(), dataset.batch_size()));
  const data::RowSplit split = strategy.impl().row_split();
  const data::Dataset mine =
      split.count == split.num_replicas ? dataset : dataset.batch_rows(split);
  return mine.iterate(
      {.seed = default_runtime().random_seed(),
       .epoch = options.first_epoch,
       .epochs = options.steps && options.begins_again ? kEndless : options.epochs});
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

EpochSource::EpochSource(const data::Dataset& dataset, const distribute::Strategy& strategy,
                         EpochOptions options)
    : strategy_(strategy),
      options_(std::move(options)),
      iterator_(start(dataset, strategy, options_)) {
  check_steps("steps", options_.steps);
  const int64_t cardinality = dataset.cardinality();
  if (!options_.steps && cardinality == data::kInfiniteCardinality)
    throw InvalidArgument("got an endless dataset; want a number of steps for each epoch");
  steps_ = options_.steps ? *options_.steps : cardinality >= 0 ? cardinality : -1;
}

const data::Element* EpochSource::next() {
  if (options_.steps && taken_ == *options_.steps) {
    taken_ = 0;
    return nullptr;
  }
  const data::Element* element = iterator_.next();
  if (!element && options_.steps) element = next_after_the_end();
  if (!element && taken_ == 0)
    throw InvalidArgument("got a dataset without a batch; want one or more");
  taken_ = element ? taken_ + 1 : 0;
  return element;
}

/// The dataset has ended before the epoch's steps were there; null ends the epoch as well.
const data::Element* EpochSource::next_after_the_end() {
  const data::Element* again = options_.begins_again ? iterator_.next() : nullptr;
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

bool CallbackList::want_step_times() const {
  return std::any_of(callbacks_.begin(), callbacks_.end(),
                     [](const Callback& c) { return c.impl().wants_step_times(); });
}

bool CallbackList::same_on_all_workers() const {
  return std::all_of(callbacks_.begin(), callbacks_.end(),
                     [](const Callback& c) { return c.impl().same_on_all_workers(); });
}

CallbackList::~CallbackList() {
  for (size_t i = callbacks_.size(); i-- > 0;) {
    callbacks_[i].impl().set_model(before_[i].model);
    callbacks_[i].impl().set_params(before_[i].params);
  }
}

std::vector<Callback> with_progress_bar(std::vector<Callback> callbacks, int verbose) {
  if (verbose > 0) callbacks.insert(callbacks.begin(), ProgressBar());
  return callbacks;
}

ElementLayout layout_of(const ModelImpl& model, const data::Dataset& dataset, int num_inputs) {
  ElementLayout layout{.spec = dataset.element_spec(), .num_inputs = num_inputs};
  if (static_cast<int>(layout.spec.size()) < num_inputs)
    throw InvalidArgument("{}: got a dataset with {} components; want {} inputs first",
                          model.name(), layout.spec.size(), num_inputs);
  layout.batch_size = std::max<int64_t>(0, dataset.batch_size());
  return layout;
}

Logs evaluate(ModelImpl& model, const data::Dataset& dataset, const ElementLayout& layout,
              std::optional<int64_t> steps, CallbackList& callbacks, std::string_view what,
              std::string_view where) {
  Trainer& trainer = model.compiled_trainer("evaluate");
  const auto entered = model.enter("evaluate()");
  const RunScope run(model);
  const StepHandle step = located(where, [&] { return trainer.test_step(layout); });
  EpochSource source = located(where, [&] {
    return EpochSource(dataset, model.strategy(), {.what = what, .steps = steps});
  });
  const auto next = [&] { return located(where, [&] { return source.next(); }); };
  LoopMetrics metrics(trainer.objective());
  metrics.reset();
  Logs logs([&](std::vector<Logs::Entry>& entries) { metrics.read(entries); });
  distribute::StepNumber number = trainer.step_number();
  const int64_t stride = trainer.options().steps_per_execution;
  callbacks.call(&CallbackImpl::on_test_begin);
  for (int64_t batch = 0; const data::Element* element = next(); ++batch) {
    if (batch % stride == 0) callbacks.call(&CallbackImpl::on_test_batch_begin, batch);
    metrics.take();
    located(where, [&] { step->run(*element, source.row_range(), number); });
    ++number.step;
    if (batch % stride != stride - 1) continue;
    logs.refresh();
    callbacks.call(&CallbackImpl::on_test_batch_end, batch, logs);
  }
  logs.refresh();
  callbacks.call(&CallbackImpl::on_test_end, logs);
  return Logs(logs.entries());  // numbers that stay: `logs` reads what the states hold by then
}

std::vector<Tensor> predict(ModelImpl& model, const data::Dataset& dataset,
                            const ElementLayout& layout, std::optional<int64_t> steps,
                            CallbackList& callbacks) {
  Trainer& trainer = model.trainer();
  const RunScope run(model);
  const StepHandle step = trainer.predict_step(layout);
  EpochSource source(dataset, model.strategy(), {.what = "predict", .steps = steps});
  std::vector<std::vector<Tensor>> parts(static_cast<size_t>(trainer.num_outputs()));
  const distribute::StepNumber number{.seed = default_runtime().random_seed()};
  data::Element inputs;
  callbacks.call(&CallbackImpl::on_predict_begin);
  for (int64_t batch = 0; const data::Element* element = source.next(); ++batch) {
    callbacks.call(&CallbackImpl::on_predict_batch_begin, batch);
    inputs.assign(element->begin(), element->begin() + layout.num_inputs);
    {
      const DeviceTurn turn = step->take_turn();  // others may predict, too
      step->run(inputs, source.row_range(), number);
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
