#include "data/dataset.h"

#include <limits>

#include "data/internal/iterator_state.h"
#include "data/internal/nodes.h"

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
  for (const Dataset& dataset : datasets) nodes.push_back(dataset.node_);
  return Dataset(zip_node(nodes));
}

Dataset Dataset::map(MapFunction function, MapOptions options) const {
  return Dataset(map_node(node_, std::move(function), std::move(options)));
}
Dataset Dataset::filter(Predicate predicate) const {
  return Dataset(filter_node(node_, std::move(predicate)));
}
Dataset Dataset::shuffle(int64_t buffer_size, ShuffleOptions options) const {
  return Dataset(shuffle_node(node_, buffer_size, options));
}
Dataset Dataset::batch(int64_t batch_size, BatchOptions options) const {
  return Dataset(batch_node(node_, batch_size, options.drop_remainder));
}
Dataset Dataset::unbatch() const { return Dataset(unbatch_node(node_)); }
Dataset Dataset::rebatch(std::vector<int64_t> sizes, BatchOptions options) const {
  return Dataset(rebatch_node(node_, std::move(sizes), options.drop_remainder));
}
Dataset Dataset::legacy_rebatch(int64_t num_replicas) const {
  return Dataset(legacy_rebatch_node(node_, num_replicas));
}
Dataset Dataset::repeat(int64_t count) const { return Dataset(repeat_node(node_, count)); }
Dataset Dataset::take(int64_t count) const { return Dataset(take_node(node_, count)); }
Dataset Dataset::skip(int64_t count) const { return Dataset(skip_node(node_, count)); }
Dataset Dataset::cache() const { return Dataset(cache_node(node_)); }
Dataset Dataset::concatenate(const Dataset& other) const {
  return Dataset(concatenate_node(node_, other.node_));
}
Dataset Dataset::enumerate(int64_t start) const {
  return zip({range(start, std::numeric_limits<int64_t>::max()), *this});
}
Dataset Dataset::shard(int64_t num_shards, int64_t index) const {
  return Dataset(shard_node(node_, num_shards, index));
}
Dataset Dataset::cast(int component, DType dtype, double scale) const {
  return Dataset(cast_node(node_, component, dtype, scale));
}
Dataset Dataset::prefetch(int64_t buffer_size) const {
  return Dataset(prefetch_node(node_, buffer_size));
}

int64_t Dataset::cardinality() const { return node_->cardinality(); }
int64_t Dataset::batch_size() const { return node_->batch_size(); }
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
