#include "cohort/data/dataset.h"

#include <limits>

#include "cohort/data/internal/iterator_state.h"
#include "cohort/data/internal/nodes.h"

namespace cohort::data {

Dataset Dataset::from_tensors(Element components) {
  return Dataset(tensors_node(std::move(components)));
}
Dataset Dataset::from_tensor_slices(Element components) {
  return Dataset(tensor_slices_node(std::move(components)));
}
Dataset Dataset::range(int64_t stop) { return range(0, stop); }
Dataset Dataset::range(int64_t start, int64_t stop, int64_t step) {
  return Dataset(range_node(start, stop, step));
}
Dataset Dataset::zip(const std::vector<Dataset>& datasets) {
  std::vector<NodePtr> nodes;
  for (const Dataset& dataset : datasets) nodes.push_back(dataset.input());
  return Dataset(zip_node(nodes), datasets.empty() ? DatasetOptions() : datasets[0].options_);
}

Dataset Dataset::map(MapFunction function, MapOptions options) const {
  return derived(map_node(input(), std::move(function), std::move(options)));
}
Dataset Dataset::interleave(DatasetFunction function, InterleaveOptions options) const {
  return derived(interleave_node(input(), std::move(function), options));
}
Dataset Dataset::flat_map(DatasetFunction function) const {
  return interleave(std::move(function), {.cycle_length = 1});
}
Dataset Dataset::filter(Predicate predicate) const {
  return derived(filter_node(input(), std::move(predicate)));
}
Dataset Dataset::shuffle(int64_t buffer_size, ShuffleOptions options) const {
  return derived(shuffle_node(input(), buffer_size, options));
}
Dataset Dataset::batch(int64_t batch_size, BatchOptions options) const {
  return derived(batch_node(input(), batch_size, options.drop_remainder));
}
Dataset Dataset::batch_rows(const RowSplit& split) const {
  return derived(batch_rows_node(input(), split));
}
Dataset Dataset::unbatch() const { return derived(unbatch_node(input())); }
Dataset Dataset::rebatch(std::vector<int64_t> sizes, BatchOptions options) const {
  return derived(rebatch_node(input(), std::move(sizes), options.drop_remainder));
}
Dataset Dataset::legacy_rebatch(int64_t num_replicas) const {
  return derived(legacy_rebatch_node(input(), num_replicas));
}
Dataset Dataset::repeat(int64_t count) const { return derived(repeat_node(input(), count)); }
Dataset Dataset::take(int64_t count) const { return derived(take_node(input(), count)); }
Dataset Dataset::skip(int64_t count) const { return derived(skip_node(input(), count)); }
Dataset Dataset::cache() const { return derived(cache_node(input())); }
Dataset Dataset::concatenate(const Dataset& other) const {
  return derived(concatenate_node(input(), other.input()));
}
Dataset Dataset::enumerate(int64_t start) const {
  const Dataset numbers = range(start, std::numeric_limits<int64_t>::max());
  return derived(zip_node({numbers.node_, input()}));
}
Dataset Dataset::shard(int64_t num_shards, int64_t index) const {
  return derived(shard_node(input(), num_shards, index));
}
Dataset Dataset::cast(int component, DType dtype, double scale) const {
  return derived(cast_node(input(), component, dtype, scale));
}
Dataset Dataset::prefetch(int64_t buffer_size) const {
  return derived(prefetch_node(node_, buffer_size));
}

Dataset Dataset::with_options(const DatasetOptions& options) const {
  return Dataset(node_, options);
}
const NodePtr& Dataset::input() const {
  if (node_->says_rows())
    throw InvalidArgument(
        "dataset: got another step than prefetch after batch_rows; want batch_rows last");
  return node_;
}

int64_t Dataset::cardinality() const { return node_->cardinality(); }
int64_t Dataset::batch_size() const { return batch_size_of(*node_); }
ElementSpec Dataset::element_spec() const { return node_->spec(); }
int Dataset::num_components() const { return static_cast<int>(node_->spec().size()); }
std::string Dataset::to_string() const { return node_->describe(); }

Iterator Dataset::iterate(IterateOptions options) const {
  if (options.epoch < 0 || options.epochs < 1)
    throw InvalidArgument("iterate: got epoch {} and {} epochs; want 0 or more and 1 or more",
                          options.epoch, options.epochs);
  const Position start{options.seed, options.epoch, 0, fingerprint_of(*node_)};
  return Iterator(std::make_unique<Iterator::State>(node_, start, options.epochs));
}

std::vector<std::string> Dataset::source_files() const {
  std::vector<std::string> files;
  std::vector<NodePtr> left{node_};
  while (!left.empty()) {
    const NodePtr node = std::move(left.back());
    left.pop_back();
    if (const std::vector<std::string>* own = node->files())
      files.insert(files.end(), own->begin(), own->end());
    for (const NodePtr& input : node->inputs()) left.push_back(input);
  }
  return files;
}

Iterator Dataset::resume(const Position& position, int64_t epochs) const {
  if (position.fingerprint != fingerprint_of(*node_))
    throw InvalidArgument("resume: got a position of another dataset; want one of {}", to_string());
  if (position.epoch < 0 || position.element < 0 || epochs < 1)
    throw InvalidArgument(
        "resume: got epoch {}, element {}, {} epochs; want 0 or more, 0 or more, 1 "
        "or more",
        position.epoch, position.element, epochs);
  return Iterator(std::make_unique<Iterator::State>(node_, position, epochs));
}

}  // namespace cohort::data
