#include "distribute/distributed_dataset.h"

#include <algorithm>
#include <cstdio>

#include "data/batch_sizes.h"

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

bool have_rows(const data::ElementSpec& spec) {
  return std::all_of(spec.begin(), spec.end(), [](const data::ComponentSpec& component) {
    return component.shape.rank() > 0;
  });
}

}  // namespace

int64_t InputContext::get_per_replica_batch_size(int64_t global_batch_size) const {
  if (global_batch_size % num_replicas_in_sync != 0)
    throw InvalidArgument(
        "get_per_replica_batch_size: got a global batch of {} for {} replicas; want a multiple",
        global_batch_size, num_replicas_in_sync);
  return global_batch_size / num_replicas_in_sync;
}

DistributedDataset::Iterator::Iterator(const DistributedDataset& owner, data::Iterator source)
    : strategy_(owner.strategy_),
      batch_size_(std::max<int64_t>(0, data::compute_batch_size(owner.dataset_))),
      batches_(std::move(source)) {}

DistributedDataset::Iterator::Iterator(const DistributedDataset& owner, data::StepIterator source)
    : strategy_(owner.strategy_), batch_size_(0), steps_(std::move(source)) {}

const DistributedElement* DistributedDataset::Iterator::next() {
  return strategy_.workers().guard([this] { return take_next(); });
}

const DistributedElement* DistributedDataset::Iterator::take_next() {
  current_.clear();  // its memory may be written again
  if (batches_) {
    const data::Element* batch = batches_->next();
    if (!batch) return nullptr;
    split(*batch);
  } else {
    const std::vector<data::Element>* elements = steps_->next();
    if (!elements) return nullptr;
    collect(*elements);
  }
  return &current_;
}

data::StepPosition DistributedDataset::Iterator::position() const {
  if (steps_) return steps_->position();
  return {batches_->position(), 0, false};
}

void DistributedDataset::Iterator::split(const data::Element& batch) {
  const int64_t rows = batch.front().size(0);
  const std::vector<int64_t> sizes = strategy_.impl().batch_sizes(rows, batch_size_);
  for (const Tensor& component : batch) {
    std::vector<Tensor> parts;
    int64_t begin = 0;
    for (const int64_t size : sizes) {
      parts.push_back(component.slice(0, begin, begin + size));
      begin += size;
    }
    current_.emplace_back(std::move(parts), true);
  }
}

void DistributedDataset::Iterator::collect(const std::vector<data::Element>& elements) {
  for (size_t c = 0; c < elements.front().size(); ++c) {
    std::vector<Tensor> values;
    for (const data::Element& element : elements) values.push_back(element[c]);
    const bool batched = values.front().rank() > 0;
    current_.emplace_back(std::move(values), batched);
  }
}

data::StepOptions DistributedDataset::step_options() const {
  return {.replicas_per_worker = strategy_.num_local_replicas(),
          .any_worker =
              [strategy = strategy_](bool local) { return strategy.workers().any("input", local); },
          .num_steps = num_steps_};
}

DistributedDataset::Iterator DistributedDataset::iterate(data::IterateOptions options) const {
  return strategy_.workers().guard([&] {
    if (splits_) return Iterator(*this, dataset_.iterate(options));
    return Iterator(*this, data::StepIterator(dataset_, step_options(), options));
  });
}

DistributedDataset::Iterator DistributedDataset::resume(const data::StepPosition& position,
                                                        int64_t epochs) const {
  return strategy_.workers().guard([&] {
    if (splits_) return Iterator(*this, dataset_.resume(position.source, epochs));
    return Iterator(*this, data::StepIterator(dataset_, step_options(), position, epochs));
  });
}

DistributedDataset distribute_dataset(const Strategy& strategy, const data::Dataset& dataset) {
  const data::InputWorker worker = worker_of(strategy);
  const bool splits = worker.num_workers == 1 && have_rows(dataset.element_spec());
  if (splits) return DistributedDataset(strategy, dataset.prefetch(), true, "");
  const data::InputPipeline input =
      strategy.workers().guard([&] { return data::make_input_pipeline(dataset, worker); });
  if (worker.num_workers > 1 && strategy.is_chief())
    std::fprintf(stderr, "%s\n", input.plan.sentence.c_str());
  DistributedDataset distributed(strategy, input.dataset.prefetch(), false, input.plan.sentence);
  distributed.num_steps_ = input.num_steps;
  return distributed;
}

DistributedDataset distribute_datasets_from_function(
    const Strategy& strategy, const std::function<data::Dataset(const InputContext&)>& make) {
  const data::InputWorker worker = worker_of(strategy);
  const InputContext context{.num_input_pipelines = static_cast<int>(worker.num_workers),
                             .input_pipeline_id = static_cast<int>(worker.index),
                             .num_replicas_in_sync = strategy.num_replicas_in_sync()};
  return DistributedDataset(strategy, strategy.workers().guard([&] { return make(context); }),
                            false, "input is made by a function in each process");
}

}  // namespace cohort::distribute
