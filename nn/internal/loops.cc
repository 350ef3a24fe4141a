#include "nn/internal/loops.h"

#include <algorithm>
#include <cstring>

#include "core/runtime/runtime.h"

namespace cohort::nn::internal {
namespace {

/// More epochs than anyone waits for.
constexpr int64_t kEndless = int64_t{1} << 40;

data::Iterator start(const data::Dataset& dataset, const distribute::Strategy& strategy,
                     bool endless, int64_t first_epoch, int64_t epochs) {
  strategy.workers().check_equal(
      "dataset", fmt::format("{} batches of {}", dataset.cardinality(), dataset.batch_size()));
  const data::RowSplit split = strategy.impl().row_split();
  const data::Dataset mine =
      split.count == split.num_replicas ? dataset : dataset.batch_rows(split);
  return mine.iterate({.seed = default_runtime().random_seed(),
                       .epoch = first_epoch,
                       .epochs = endless ? kEndless : epochs});
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
                         std::optional<int64_t> steps_per_epoch, int64_t first_epoch,
                         int64_t epochs)
    : limit_(steps_per_epoch),
      iterator_(start(dataset, strategy, steps_per_epoch.has_value(), first_epoch, epochs)) {
  check_steps("steps", limit_);
  const int64_t cardinality = dataset.cardinality();
  if (!limit_ && cardinality == data::kInfiniteCardinality)
    throw InvalidArgument("got an endless dataset; want a number of steps for each epoch");
  steps_ = limit_ ? *limit_ : cardinality >= 0 ? cardinality : -1;
}

const data::Element* EpochSource::next() {
  if (limit_ && taken_ == *limit_) {
    taken_ = 0;
    return nullptr;
  }
  const data::Element* element = iterator_.next();
  if (!element && limit_) element = iterator_.next();
  if (!element && (limit_ || taken_ == 0))
    throw InvalidArgument("got a dataset without a batch; want one or more");
  taken_ = element ? taken_ + 1 : 0;
  return element;
}

CallbackList::CallbackList(std::vector<Callback> callbacks, ModelImpl& model, CallbackParams params)
    : callbacks_(std::move(callbacks)) {
  params.is_chief = model.strategy().is_chief();
  for (const Callback& callback : callbacks_) {
    callback.impl().set_model(&model);
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

CallbackList::~CallbackList() {
  for (const Callback& callback : callbacks_) callback.impl().set_model(nullptr);
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
              std::optional<int64_t> steps, CallbackList& callbacks) {
  Trainer& trainer = model.compiled_trainer("evaluate");
  const auto entered = model.enter("evaluate()");
  const StepHandle step = trainer.test_step(layout);
  EpochSource source(dataset, model.strategy(), steps, 0, 1);
  trainer.objective().reset();
  Logs logs([&](std::vector<Logs::Entry>& entries) { trainer.objective().read(entries); });
  distribute::StepNumber number = trainer.step_number();
  const int64_t stride = trainer.options().steps_per_execution;
  callbacks.call(&CallbackImpl::on_test_begin);
  for (int64_t batch = 0; const data::Element* element = source.next(); ++batch) {
    if (batch % stride == 0) callbacks.call(&CallbackImpl::on_test_batch_begin, batch);
    step->run(*element, source.row_range(), number);
    ++number.step;
    if (batch % stride != stride - 1) continue;
    logs.refresh();
    callbacks.call(&CallbackImpl::on_test_batch_end, batch, logs);
  }
  logs.refresh();
  callbacks.call(&CallbackImpl::on_test_end, logs);
  return logs;
}

std::vector<Tensor> predict(ModelImpl& model, const data::Dataset& dataset,
                            const ElementLayout& layout, std::optional<int64_t> steps,
                            CallbackList& callbacks) {
  Trainer& trainer = model.trainer();
  const StepHandle step = trainer.predict_step(layout);
  EpochSource source(dataset, model.strategy(), steps, 0, 1);
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
