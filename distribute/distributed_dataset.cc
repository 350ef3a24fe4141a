#include "cohort/distribute/distributed_dataset.h"

#include <cstdio>

#include "cohort/core/terminal.h"

namespace cohort::distribute {
namespace {

/// This process among those that share an input.
data::InputWorker worker_of(const Strategy& strategy) {
  const data::RowSplit split = strategy.impl().row_split();
  const data::InputWorker worker{.num_workers = strategy.workers().count(),
                                 .index = strategy.workers().index(),
                                 .replicas_per_worker = split.count};
  if (worker.num_workers * split.count != split.num_replicas ||
      worker.index * split.count != split.first)
    throw InvalidArgument(
        "distributed dataset: got {} of {} replicas on {} of {} workers; want equally many on each",
        split.count, split.num_replicas, strategy.workers().name(), worker.num_workers);
  return worker;
}

}  // namespace

int64_t InputContext::get_per_replica_batch_size(int64_t global_batch_size) const {
  if (global_batch_size % num_replicas_in_sync != 0)
    throw InvalidArgument(
        "get_per_replica_batch_size: got a global batch of {} for {} replicas; want a multiple",
        global_batch_size, num_replicas_in_sync);
  return global_batch_size / num_replicas_in_sync;
}

const DistributedElement* DistributedDataset::Iterator::next() {
  return strategy_.workers().guard("the next batch", [this] { return take_next(); });
}

const DistributedElement* DistributedDataset::Iterator::take_next() {
  current_.clear();  // its memory may be written again
  const std::vector<data::Element>* elements = steps_.next();
  if (!elements) return nullptr;
  collect(*elements);
  return &current_;
}

data::StepPosition DistributedDataset::Iterator::position() const { return steps_.position(); }

void DistributedDataset::Iterator::collect(const std::vector<data::Element>& elements) {
  for (size_t c = 0; c < elements.front().size(); ++c) {
    std::vector<Tensor> values;
    for (const data::Element& element : elements) values.push_back(element[c]);
    const bool batched = values.front().rank() > 0;
    current_.emplace_back(std::move(values), batched);
  }
}

DistributedDataset::Iterator::Iterator(Strategy strategy, data::StepIterator steps)
    : strategy_(std::move(strategy)), steps_(std::move(steps)) {}

DistributedDataset::DistributedDataset(DistributedInput input, std::string plan)
    : DistributedInput(std::move(input)), plan_(std::move(plan)) {}

DistributedInput::DistributedInput(const DistributedInput&) = default;
DistributedInput::DistributedInput(DistributedInput&&) noexcept = default;
DistributedInput& DistributedInput::operator=(const DistributedInput&) = default;
DistributedInput& DistributedInput::operator=(DistributedInput&&) noexcept = default;
DistributedInput::~DistributedInput() = default;

data::ElementSpec DistributedInput::element_spec() const { return dataset_.element_spec(); }

int64_t DistributedInput::cardinality() const { return data::count_steps(dataset_, options_); }

data::StepIterator DistributedInput::iterate_steps(const data::IterateOptions& options) const {
  return data::StepIterator(dataset_, options_, options);
}

data::StepIterator DistributedInput::resume_steps(const data::StepPosition& position,
                                                  int64_t epochs) const {
  return data::StepIterator(dataset_, options_, position, epochs);
}

DistributedInput::DistributedInput(Strategy strategy, data::Dataset dataset,
                                   std::optional<int64_t> num_steps, int64_t batch_size)
    : strategy_(std::move(strategy)),
      dataset_(std::move(dataset)),
      options_{.replicas_per_worker = strategy_.num_local_replicas(),
               .any_worker = {},
               .num_steps = num_steps},
      batch_size_(batch_size) {
  if (strategy_.workers().count() > 1)
    options_.any_worker = [strategy = strategy_](bool local) {
      return strategy.workers().any("input", local);
    };
}

DistributedDataset::Iterator DistributedDataset::iterate(data::IterateOptions options) const {
  return strategy_.workers().guard("the start of a pass",
                                   [&] { return Iterator(strategy_, iterate_steps(options)); });
}

DistributedDataset::Iterator DistributedDataset::resume(const data::StepPosition& position,
                                                        int64_t epochs) const {
  return strategy_.workers().guard(
      "the start of a pass", [&] { return Iterator(strategy_, resume_steps(position, epochs)); });
}

DistributedDataset Strategy::experimental_distribute_dataset(const data::Dataset& dataset) const {
  const data::InputWorker worker = worker_of(*this);
  const data::InputPipeline input = workers().guard(
      "the making of a dataset", [&] { return data::make_input_pipeline(dataset, worker); });
  if (worker.num_workers > 1 && is_chief()) say(stderr, input.plan.sentence + "\n");
  const int64_t replicas = worker.replicas_per_worker;  // a step takes an element for each
  const data::Dataset ahead =
      input.dataset.prefetch(replicas == 1 ? data::kAutotune : 2 * replicas);
  return {DistributedInput(*this, ahead, input.num_steps, dataset.batch_size()),
          input.plan.sentence};
}

DistributedDataset Strategy::distribute_datasets_from_function(
    const std::function<data::Dataset(const InputContext&)>& make) const {
  const data::InputWorker worker = worker_of(*this);
  const InputContext context{.num_input_pipelines = static_cast<int>(worker.num_workers),
                             .input_pipeline_id = static_cast<int>(worker.index),
                             .num_replicas_in_sync = num_replicas_in_sync()};
  const data::Dataset made =
      workers().guard("the making of a dataset", [&] { return make(context); });
  return {DistributedInput(*this, made, std::nullopt, -1),
          "input is made by a function in each process"};
}

}  // namespace cohort::distribute
