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

data::StepOptions DistributedDataset::step_options() const {
  data::StepOptions options{.replicas_per_worker = strategy_.num_local_replicas(),
                            .num_steps = num_steps_};
  if (strategy_.workers().count() > 1)
    options.any_worker = [strategy = strategy_](bool local) {
      return strategy.workers().any("input", local);
    };
  return options;
}

DistributedDataset::Iterator DistributedDataset::iterate(data::IterateOptions options) const {
  return strategy_.workers().guard("the start of a pass", [&] {
    return Iterator(strategy_, data::StepIterator(dataset_, step_options(), options));
  });
}

DistributedDataset::Iterator DistributedDataset::resume(const data::StepPosition& position,
                                                        int64_t epochs) const {
  return strategy_.workers().guard("the start of a pass", [&] {
    return Iterator(strategy_, data::StepIterator(dataset_, step_options(), position, epochs));
  });
}

DistributedDataset distribute_dataset(const Strategy& strategy, const data::Dataset& dataset) {
  const data::InputWorker worker = worker_of(strategy);
  const data::InputPipeline input = strategy.workers().guard(
      "the making of a dataset", [&] { return data::make_input_pipeline(dataset, worker); });
  if (worker.num_workers > 1 && strategy.is_chief()) say(stderr, input.plan.sentence + "\n");
  const int64_t replicas = worker.replicas_per_worker;  // a step takes an element for each
  const data::Dataset ahead =
      input.dataset.prefetch(replicas == 1 ? data::kAutotune : 2 * replicas);
  DistributedDataset distributed(strategy, ahead, input.plan.sentence);
  distributed.num_steps_ = input.num_steps;
  return distributed;
}

DistributedDataset distribute_datasets_from_function(
    const Strategy& strategy, const std::function<data::Dataset(const InputContext&)>& make) {
  const data::InputWorker worker = worker_of(strategy);
  const InputContext context{.num_input_pipelines = static_cast<int>(worker.num_workers),
                             .input_pipeline_id = static_cast<int>(worker.index),
                             .num_replicas_in_sync = strategy.num_replicas_in_sync()};
  return DistributedDataset(
      strategy, strategy.workers().guard("the making of a dataset", [&] { return make(context); }),
      "input is made by a function in each process");
}

}  // namespace cohort::distribute
