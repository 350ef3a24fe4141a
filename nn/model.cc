#include "cohort/nn/model_impl.h"

#include <cmath>

#include "cohort/core/runtime/runtime.h"
#include "cohort/nn/internal/loop_metrics.h"
#include "cohort/nn/internal/loops.h"
#include "cohort/nn/internal/names.h"

namespace cohort::nn {
namespace {

constexpr int64_t kDefaultBatchSize = 32;

int64_t checked(std::string_view where, std::string_view option,
                std::optional<int64_t> batch_size) {
  const int64_t size = batch_size.value_or(kDefaultBatchSize);
  if (size < 1) throw InvalidArgument("{}: got {} {}; want 1 or more", where, option, size);
  return size;
}

void refuse_batch_size(std::string_view where, std::optional<int64_t> batch_size) {
  if (batch_size)
    throw InvalidArgument("{}: got batch_size {} with a dataset; want it from dataset.batch()",
                          where, *batch_size);
}

using Tensors = std::vector<Tensor>;

data::Element joined(std::initializer_list<const Tensors*> lists) {
  data::Element all;
  for (const Tensors* list : lists) all.insert(all.end(), list->begin(), list->end());
  return all;
}

/// Rows [begin, end) of every tensor; end -1: the last.
Tensors rows_of(const Tensors& tensors, int64_t begin, int64_t end) {
  Tensors rows;
  for (const Tensor& tensor : tensors)
    rows.push_back(tensor.slice(0, begin, end < 0 ? tensor.size(0) : end));
  return rows;
}

data::Dataset batches(std::string_view where, data::Element components, int64_t batch_size,
                      bool shuffle) {
  for (const Tensor& component : components)
    if (!component.defined() || component.rank() == 0)
      throw InvalidArgument(
          "{}: got a tensor without rows; want [N, …] for inputs, labels and weights", where);
  data::Dataset rows = internal::located(
      where, [&] { return data::Dataset::from_tensor_slices(std::move(components)); });
  if (shuffle) rows = rows.shuffle(std::max<int64_t>(1, rows.cardinality()));
  return rows.batch(batch_size).prefetch();
}

int count(const Tensors& tensors) { return static_cast<int>(tensors.size()); }

std::optional<internal::Input> validation_of(const ModelImpl& model, const FitOptions& options,
                                             std::optional<int64_t> batch_size) {
  const int64_t size = checked("fit", "validation_batch_size", batch_size);
  const ValidationData& data = options.validation_data;
  if (!data.defined()) return {};
  if (data.dataset) return *data.dataset;
  if (data.distributed_dataset) {
    const internal::Input input = *data.distributed_dataset;
    input.check_belongs_to(model, internal::kValidation);
    return input;
  }
  return batches(internal::kValidation, joined({&data.x, &data.y, &data.sample_weight}), size,
                 false);
}

/// How many batches a run over the dataset has; -1 when not known.
int64_t steps_of(const internal::Input& input, std::optional<int64_t> most) {
  const int64_t cardinality = input.cardinality();
  return most && cardinality >= 0 ? std::min(*most, cardinality) : most.value_or(cardinality);
}

History run_fit(ModelImpl& model, const internal::Input& input, const FitOptions& options) {
  return model.strategy().workers().guard("fit()", [&] {
    model.compiled_trainer("fit");
    refuse_batch_size("fit", options.batch_size);
    if (options.validation_split != 0)
      throw InvalidArgument("fit: got validation_split with a dataset; want validation_data");
    if (!options.sample_weight.empty())
      throw InvalidArgument("fit: got sample_weight with a dataset; want it as a component");
    input.check_belongs_to(model, "fit");
    internal::FitData data{input, internal::layout_of(model, input, model.num_inputs()),
                           validation_of(model, options, options.validation_batch_size)};
    data.layout.class_weight = options.class_weight;
    return internal::fit(model, data, options);
  });
}

Logs run_evaluation(ModelImpl& model, const internal::Input& input, int num_inputs,
                    const EvaluateOptions& options) {
  model.compiled_trainer("evaluate");
  internal::CallbackList list(
      internal::with_progress_bar(options.callbacks, options.verbose.level()), model,
      {.verbose = options.verbose.level(), .steps = steps_of(input, options.steps)});
  return internal::evaluate(model, input, internal::layout_of(model, input, num_inputs),
                            options.steps, list, "evaluate");
}

Logs run_evaluation(ModelImpl& model, const internal::Input& input,
                    const EvaluateOptions& options) {
  return model.strategy().workers().guard("evaluate()", [&] {
    refuse_batch_size("evaluate", options.batch_size);
    if (!options.sample_weight.empty())
      throw InvalidArgument("evaluate: got sample_weight with a dataset; want it as a component");
    input.check_belongs_to(model, "evaluate");
    return run_evaluation(model, input, model.num_inputs(), options);
  });
}

std::vector<Tensor> run_prediction(ModelImpl& model, const internal::Input& input, int num_inputs,
                                   const PredictOptions& options) {
  internal::CallbackList list(
      internal::with_progress_bar(options.callbacks, options.verbose.level()), model,
      {.verbose = options.verbose.level(), .steps = steps_of(input, options.steps)});
  internal::ElementLayout layout = internal::layout_of(model, input, num_inputs);
  layout.spec.resize(static_cast<size_t>(num_inputs));
  return internal::predict(model, input, layout, options.steps, list);
}

std::vector<Tensor> run_prediction(ModelImpl& model, const internal::Input& input,
                                   const PredictOptions& options) {
  return model.strategy().workers().guard("predict()", [&] {
    refuse_batch_size("predict", options.batch_size);
    input.check_belongs_to(model, "predict");
    return run_prediction(model, input, model.num_inputs(), options);
  });
}

Tensor only(const Layer& model, const std::vector<Tensor>& outputs) {
  if (outputs.size() != 1)
    throw InvalidArgument("{}: got {} outputs; want one: use predict_all()", model.name(),
                          outputs.size());
  return outputs.front();
}

internal::ElementLayout layout_of_batch(const data::Element& batch, int num_inputs,
                                        const ClassWeight& class_weight) {
  internal::ElementLayout layout{.num_inputs = num_inputs, .class_weight = class_weight};
  for (const Tensor& component : batch) {
    Shape shape = component.shape();
    if (shape.rank() > 0) shape[0] = batch_dim();
    layout.spec.push_back({component.dtype(), shape});
  }
  return layout;
}

/// Returns what `work` returns; an error of one worker is told to all.
template <class Work>
auto guard(const char* what, const ModelImpl& model, Work&& work) {
  return model.strategy().workers().guard(what, work);
}

/// Runs one batch alone; returns its loss and metrics.
Logs run_batch(ModelImpl& model, internal::Trainer& trainer, distribute::StepRunner& step,
               const data::Element& batch) {
  internal::LoopMetrics metrics(trainer.objective());
  metrics.reset();
  step.run(batch, model.step_number());
  std::vector<Logs::Entry> entries;
  metrics.read(entries);
  trainer.check_loss_scale();
  return Logs(std::move(entries));
}

}  // namespace

Verbose::Verbose(int level) : level_(level) {
  if (level < 0 || level > 2)
    throw InvalidArgument("verbose: got {}; want 0, 1, 2 or \"auto\"", level);
}
Verbose::Verbose(const char* level) : level_(1) {
  internal::check_name("verbose", "level", level, {"auto"});
}

ValidationData::ValidationData() = default;
ValidationData::ValidationData(const ValidationData&) = default;
ValidationData::ValidationData(ValidationData&&) noexcept = default;
ValidationData& ValidationData::operator=(const ValidationData&) = default;
ValidationData& ValidationData::operator=(ValidationData&&) noexcept = default;
ValidationData::~ValidationData() = default;

ValidationData::ValidationData(data::Dataset dataset) : dataset(std::move(dataset)) {}
ValidationData::ValidationData(distribute::DistributedInput dataset)
    : distributed_dataset(std::move(dataset)) {}
ValidationData::ValidationData(const Tensor& x, const Tensor& y, const Tensor& sample_weight)
    : x{x}, y{y} {
  if (sample_weight.defined()) this->sample_weight = {sample_weight};
}
ValidationData::ValidationData(std::vector<Tensor> x, std::vector<Tensor> y,
                               std::vector<Tensor> sample_weight)
    : x(std::move(x)), y(std::move(y)), sample_weight(std::move(sample_weight)) {}

bool ValidationData::defined() const {
  return dataset.has_value() || distributed_dataset.has_value() || !x.empty();
}

Model::Model(std::shared_ptr<ModelImpl> impl) : Layer(std::move(impl)) {}
ModelImpl& Model::model_impl() const { return static_cast<ModelImpl&>(impl()); }

void Model::compile(CompileOptions options) const { model_impl().compile(std::move(options)); }

History Model::fit(const data::Dataset& dataset, FitOptions options) const {
  return run_fit(model_impl(), dataset, options);
}
History Model::fit(const distribute::DistributedInput& dataset, FitOptions options) const {
  return run_fit(model_impl(), dataset, options);
}

History Model::fit(const Tensor& x, const Tensor& y, FitOptions options) const {
  return fit(std::vector<Tensor>{x}, std::vector<Tensor>{y}, std::move(options));
}

History Model::fit(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                   FitOptions options) const {
  return guard("fit()", model_impl(), [&] {
    ModelImpl& model = model_impl();
    model.compiled_trainer("fit");
    const int64_t batch_size = checked("fit", "batch_size", options.batch_size);
    Tensors inputs = x, labels = y, weights = options.sample_weight;
    if (!(options.validation_split >= 0 && options.validation_split < 1))
      throw InvalidArgument("fit: got validation_split {}; want 0 <= validation_split < 1",
                            options.validation_split);
    if (options.validation_split > 0 && !options.validation_data.defined()) {
      if (inputs.empty() || inputs[0].rank() == 0)
        throw InvalidArgument("fit: got no rows to split; want inputs [N, …]");
      const auto rows = static_cast<double>(inputs[0].size(0));
      const auto split = static_cast<int64_t>(std::floor(rows * (1 - options.validation_split)));
      options.validation_data = ValidationData(
          rows_of(inputs, split, -1), rows_of(labels, split, -1), rows_of(weights, split, -1));
      inputs = rows_of(inputs, 0, split);
      labels = rows_of(labels, 0, split);
      weights = rows_of(weights, 0, split);
    }
    const data::Dataset dataset =
        batches("fit", joined({&inputs, &labels, &weights}), batch_size, options.shuffle);
    internal::FitData data{
        dataset, internal::layout_of(model, dataset, count(x)),
        validation_of(model, options, options.validation_batch_size.value_or(batch_size))};
    data.layout.class_weight = options.class_weight;
    return internal::fit(model, data, options);
  });
}

Logs Model::evaluate(const data::Dataset& dataset, EvaluateOptions options) const {
  return run_evaluation(model_impl(), dataset, options);
}
Logs Model::evaluate(const distribute::DistributedInput& dataset, EvaluateOptions options) const {
  return run_evaluation(model_impl(), dataset, options);
}
Logs Model::evaluate(const Tensor& x, const Tensor& y, EvaluateOptions options) const {
  return evaluate(std::vector<Tensor>{x}, std::vector<Tensor>{y}, std::move(options));
}
Logs Model::evaluate(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                     EvaluateOptions options) const {
  return guard("evaluate()", model_impl(), [&] {
    model_impl().compiled_trainer("evaluate");
    const data::Dataset dataset =
        batches("evaluate", joined({&x, &y, &options.sample_weight}),
                checked("evaluate", "batch_size", options.batch_size), false);
    return run_evaluation(model_impl(), dataset, count(x), options);
  });
}

std::vector<Tensor> Model::predict_all(const data::Dataset& dataset, PredictOptions options) const {
  return run_prediction(model_impl(), dataset, options);
}
std::vector<Tensor> Model::predict_all(const distribute::DistributedInput& dataset,
                                       PredictOptions options) const {
  return run_prediction(model_impl(), dataset, options);
}
std::vector<Tensor> Model::predict_all(const std::vector<Tensor>& x, PredictOptions options) const {
  return guard("predict()", model_impl(), [&] {
    const data::Dataset dataset = batches(
        "predict", joined({&x}), checked("predict", "batch_size", options.batch_size), false);
    return run_prediction(model_impl(), dataset, count(x), options);
  });
}
Tensor Model::predict(const data::Dataset& dataset, PredictOptions options) const {
  return only(*this, predict_all(dataset, std::move(options)));
}
Tensor Model::predict(const distribute::DistributedInput& dataset, PredictOptions options) const {
  return only(*this, predict_all(dataset, std::move(options)));
}
Tensor Model::predict(const Tensor& x, PredictOptions options) const {
  return only(*this, predict_all(std::vector<Tensor>{x}, std::move(options)));
}

Logs Model::train_on_batch(const Tensor& x, const Tensor& y, BatchOptions options) const {
  return train_on_batch(std::vector<Tensor>{x}, std::vector<Tensor>{y}, std::move(options));
}
Logs Model::train_on_batch(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                           BatchOptions options) const {
  return guard("train_on_batch()", model_impl(), [&] {
    internal::Trainer& trainer = model_impl().compiled_trainer("train_on_batch");
    const auto entered = model_impl().enter("train_on_batch()");
    model_impl().warn_if_apart();
    Tensors weights;
    if (options.sample_weight.defined()) weights.push_back(options.sample_weight);
    const data::Element batch = joined({&x, &y, &weights});
    const internal::StepHandle step =
        trainer.train_step(layout_of_batch(batch, count(x), options.class_weight));
    Logs logs = run_batch(model_impl(), trainer, *step, batch);
    model_impl().count_step();
    return logs;
  });
}
Logs Model::test_on_batch(const Tensor& x, const Tensor& y, BatchOptions options) const {
  return guard("test_on_batch()", model_impl(), [&] {
    internal::Trainer& trainer = model_impl().compiled_trainer("test_on_batch");
    const auto entered = model_impl().enter("test_on_batch()");
    data::Element batch{x, y};
    if (options.sample_weight.defined()) batch.push_back(options.sample_weight);
    const internal::StepHandle step =
        trainer.test_step(layout_of_batch(batch, 1, options.class_weight));
    return run_batch(model_impl(), trainer, *step, batch);
  });
}
Tensor Model::predict_on_batch(const Tensor& x) const {
  return guard("predict_on_batch()", model_impl(), [&] {
    internal::Trainer& trainer = model_impl().trainer();
    const data::Element batch{x};
    const internal::StepHandle step = trainer.predict_step(layout_of_batch(batch, 1, {}));
    const DeviceTurn turn = step->take_turn();
    step->run(batch, {.seed = default_runtime().random_seed()});
    return step->gathered_output(0);
  });
}
Tensor Model::operator()(const Tensor& x) const { return predict_on_batch(x); }

}  // namespace cohort::nn
