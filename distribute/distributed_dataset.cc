#include "distribute/distributed_dataset.h"

#include "data/batch_sizes.h"

namespace cohort::distribute {

int64_t InputContext::get_per_replica_batch_size(int64_t global_batch_size) const {
  if (global_batch_size % num_replicas_in_sync != 0)
    throw InvalidArgument(
        "get_per_replica_batch_size: got a global batch of {} for {} replicas; want a multiple",
        global_batch_size, num_replicas_in_sync);
  return global_batch_size / num_replicas_in_sync;
}

DistributedDataset::Iterator::Iterator(const DistributedDataset& owner, data::Iterator source)
    : strategy_(owner.strategy_),
      splits_(owner.splits_),
      batch_size_(std::max<int64_t>(0, data::compute_batch_size(owner.dataset_))),
      spec_(owner.dataset_.element_spec()),
      source_(std::move(source)) {}

const DistributedElement* DistributedDataset::Iterator::next() {
  if (!splits_) return take_one_each();
  const data::Element* batch = source_.next();
  return batch ? split(*batch) : nullptr;
}

const DistributedElement* DistributedDataset::Iterator::split(const data::Element& batch) {
  const int64_t rows = batch.front().size(0);
  const std::vector<int64_t> sizes = strategy_.impl().batch_sizes(rows, batch_size_);
  current_.clear();
  for (const Tensor& component : batch) {
    std::vector<Tensor> parts;
    int64_t begin = 0;
    for (const int64_t size : sizes) {
      parts.push_back(component.slice(0, begin, begin + size));
      begin += size;
    }
    current_.emplace_back(std::move(parts), true);
  }
  return &current_;
}

const DistributedElement* DistributedDataset::Iterator::take_one_each() {
  const int n = strategy_.num_replicas_in_sync();
  std::vector<std::vector<Tensor>> parts(spec_.size());
  bool ended = false;
  for (int r = 0; r < n; ++r) {
    const data::Element* element = ended ? nullptr : source_.next();
    ended = element == nullptr;
    if (ended && r == 0) return nullptr;
    for (size_t c = 0; c < parts.size(); ++c) {
      if (element) {
        // The iterator reuses its memory for the next replica's element.
        parts[c].push_back((*element)[c].clone());
        continue;
      }
      Shape empty = parts[c].front().shape();
      if (empty.rank() == 0)
        throw FailedPrecondition(
            "distributed dataset: got elements without rows that do not divide by {} replicas; "
            "want batches, "
            "so that a replica can be given none",
            n);
      empty[0] = Dim(0);
      parts[c].emplace_back(parts[c].front().dtype(), empty);
    }
  }
  current_.clear();
  for (auto& values : parts) {
    const bool batched = values.front().rank() > 0;
    current_.emplace_back(std::move(values), batched);
  }
  return &current_;
}

DistributedDataset::Iterator DistributedDataset::iterate(data::IterateOptions options) const {
  return Iterator(*this, dataset_.iterate(options));
}

DistributedDataset distribute_dataset(const Strategy& strategy, const data::Dataset& dataset) {
  for (const data::ComponentSpec& spec : dataset.element_spec())
    if (spec.shape.rank() == 0)
      throw InvalidArgument(
          "distribute_dataset: got elements without a batch dimension; want a batched dataset");
  return DistributedDataset(strategy, dataset.prefetch(), true);
}

DistributedDataset distribute_datasets_from_function(
    const Strategy& strategy, const std::function<data::Dataset(const InputContext&)>& make) {
  const InputContext context{.num_replicas_in_sync = strategy.num_replicas_in_sync()};
  return DistributedDataset(strategy, make(context), false);
}

}  // namespace cohort::distribute
