#include <limits>

#include "cohort/core/current_error.h"
#include "cohort/data/internal/flows.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

/// The steps that choose and order items, whatever the items are.
namespace cohort::data {
namespace {

/// A step whose items are its input's. `Derived` has `template <class Item> FlowPtr<Item>
/// flow(const Pass&) const`, which serves elements and row numbers alike.
template <class Derived>
class OrderNode : public Node {
 public:
  explicit OrderNode(NodePtr input) : input_(std::move(input)), rows_(input_->rows()) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    if (rows_) return elements_of_rows(rows_, row_numbers(pass));
    return self().template flow<Element>(pass);
  }
  RowsPtr rows() const override { return rows_; }
  FlowPtr<int64_t> row_numbers(const Pass& pass) const override {
    return self().template flow<int64_t>(pass);
  }
  int64_t cardinality() const override { return input_->cardinality(); }
  ElementSpec spec() const override { return input_->spec(); }
  int64_t batch_size() const override { return input_->batch_size(); }
  int num_shuffles() const override { return input_->num_shuffles(); }
  bool keeps_items() const override { return true; }
  bool says_rows() const override { return input_->says_rows(); }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    auto copy = std::make_shared<Derived>(self());
    copy->input_ = std::move(inputs[0]);
    copy->rows_ = copy->input_->rows();
    return copy;
  }

 protected:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
  template <class Item>
  FlowPtr<Item> input_flow(const Pass& pass) const {
    return flow_of<Item>(*input_, pass);
  }

  NodePtr input_;
  RowsPtr rows_;
};

class TakeNode : public OrderNode<TakeNode> {
 public:
  TakeNode(NodePtr input, int64_t count) : OrderNode(std::move(input)), count_(count) {}
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass) const {
    return std::make_unique<TakeFlow<Item>>(input_flow<Item>(pass), count_);
  }
  int64_t cardinality() const override {
    const int64_t size = input_->cardinality();
    if (size == kInfiniteCardinality) return count_;
    return size < 0 ? size : std::min(size, count_);
  }
  std::string describe() const override {
    return fmt::format("{}.take({})", input_->describe(), count_);
  }

 private:
  int64_t count_;
};

class SkipNode : public OrderNode<SkipNode> {
 public:
  SkipNode(NodePtr input, int64_t count) : OrderNode(std::move(input)), count_(count) {}
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass) const {
    return std::make_unique<SkipFlow<Item>>(input_flow<Item>(pass), count_);
  }
  int64_t cardinality() const override {
    const int64_t size = input_->cardinality();
    return size < 0 ? size : std::max<int64_t>(0, size - count_);
  }
  std::string describe() const override {
    return fmt::format("{}.skip({})", input_->describe(), count_);
  }

 private:
  int64_t count_;
};

class ShardNode : public OrderNode<ShardNode> {
 public:
  ShardNode(NodePtr input, int64_t num_shards, int64_t index, bool none_empty)
      : OrderNode(std::move(input)),
        num_shards_(num_shards),
        index_(index),
        none_empty_(none_empty) {}
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass) const {
    return std::make_unique<ShardFlow<Item>>(input_flow<Item>(pass), num_shards_, index_,
                                             none_empty_);
  }
  int64_t cardinality() const override {
    const int64_t size = input_->cardinality();
    if (size < 0) return size;
    return size / num_shards_ + (index_ < size % num_shards_ ? 1 : 0);
  }
  std::string describe() const override {
    return fmt::format("{}.shard({}, {})", input_->describe(), num_shards_, index_);
  }

 private:
  int64_t num_shards_;
  int64_t index_;
  bool none_empty_;
};

/// Stands where a worker's shard is to be, until auto_shard puts it there.
class ShardHintNode : public OrderNode<ShardHintNode> {
 public:
  using OrderNode::OrderNode;
  template <class Item>
  FlowPtr<Item> flow(const Pass&) const {
    throw FailedPrecondition(
        "shard: got kShardHint in place of the worker's numbers; want them, or a strategy's input "
        "with AutoShardPolicy::kHint");
  }
  int64_t cardinality() const override {
    const int64_t size = input_->cardinality();
    return size <= 0 ? size : kUnknownCardinality;
  }
  std::string describe() const override { return input_->describe() + ".shard(hint)"; }
};

/// Round r of epoch e is epoch e * count + r of the input, so every round is shuffled anew and
/// repeat(k) meets the same epochs as k times as many passes without it.
class RepeatNode : public OrderNode<RepeatNode> {
 public:
  RepeatNode(NodePtr input, int64_t count) : OrderNode(std::move(input)), count_(count) {}
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass) const {
    const int64_t rounds_per_epoch = count_ >= 0 ? count_ : int64_t{1} << 32;
    auto open = [input = input_, pass, rounds_per_epoch](int64_t round) {
      return flow_of<Item>(*input, Pass{pass.seed, pass.epoch * rounds_per_epoch + round});
    };
    return std::make_unique<RepeatFlow<Item>>(std::move(open), count_, input_->cardinality());
  }
  int64_t cardinality() const override {
    const int64_t size = input_->cardinality();
    if (count_ == 0 || size == 0) return 0;
    if (count_ < 0) return size == kUnknownCardinality ? size : kInfiniteCardinality;
    return size < 0 ? size : size * count_;
  }
  std::string describe() const override {
    return fmt::format("{}.repeat({})", input_->describe(), count_);
  }

 private:
  int64_t count_;
};

class ShuffleNode : public OrderNode<ShuffleNode> {
 public:
  ShuffleNode(NodePtr input, int64_t buffer_size, const ShuffleOptions& options)
      : OrderNode(std::move(input)), buffer_size_(buffer_size), options_(options) {}
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass) const {
    uint64_t key = mix(pass.seed);
    if (options_.seed) key = mix(key ^ mix(*options_.seed + 1));
    key = mix(key + static_cast<uint64_t>(input_->num_shuffles()));
    const int64_t epoch = options_.reshuffle_each_iteration ? pass.epoch : 0;
    key = mix(key ^ static_cast<uint64_t>(epoch));
    return std::make_unique<ShuffleFlow<Item>>(input_flow<Item>(pass), buffer_size_,
                                               input_->cardinality(), CounterRandom{key});
  }
  int num_shuffles() const override { return input_->num_shuffles() + 1; }
  std::string describe() const override {
    const std::string seed = options_.seed ? fmt::format(", seed={}", *options_.seed) : "";
    return fmt::format("{}.shuffle({}{}{})", input_->describe(), buffer_size_, seed,
                       options_.reshuffle_each_iteration ? "" : ", reshuffle=false");
  }

 private:
  int64_t buffer_size_;
  ShuffleOptions options_;
};

/// Keeps the items for which the predicate holds; numbers stand for their rows.
template <class Item>
class FilterFlow : public Flow<Item> {
 public:
  FilterFlow(FlowPtr<Item> input, Predicate predicate, RowsPtr rows)
      : input_(std::move(input)), predicate_(std::move(predicate)), rows_(std::move(rows)) {}

  int64_t next(std::span<Item> out) override {
    size_t filled = 0;
    while (filled < out.size() && input_->next(out.subspan(filled, 1)) == 1)
      if (accepts(out[filled])) ++filled;
    return static_cast<int64_t>(filled);
  }

 private:
  bool accepts(const Item& item) {
    const int64_t index = index_++;
    try {
      if constexpr (std::is_same_v<Item, Element>) {
        return predicate_(item);
      } else {
        gather_row(*rows_, item, row_);
        return predicate_(row_);
      }
    } catch (...) {
      throw current_error().within(fmt::format("filter: element {}", index));
    }
  }

  FlowPtr<Item> input_;
  Predicate predicate_;
  RowsPtr rows_;
  Element row_;
  int64_t index_ = 0;
};

class FilterNode : public OrderNode<FilterNode> {
 public:
  FilterNode(NodePtr input, Predicate predicate)
      : OrderNode(std::move(input)), predicate_(std::move(predicate)) {}
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass) const {
    return std::make_unique<FilterFlow<Item>>(input_flow<Item>(pass), predicate_, rows_);
  }
  int64_t cardinality() const override {
    const int64_t size = input_->cardinality();
    return size == 0 ? 0 : kUnknownCardinality;
  }
  bool keeps_items() const override { return false; }
  std::string describe() const override { return input_->describe() + ".filter"; }

 private:
  Predicate predicate_;
};

void check_count(int64_t count, std::string_view where) {
  if (count < -1) throw InvalidArgument("{}: got count {}; want 0 or more, or -1", where, count);
}

}  // namespace

NodePtr take_node(NodePtr input, int64_t count) {
  check_count(count, "take");
  if (count == -1) return input;
  return std::make_shared<TakeNode>(std::move(input), count);
}

NodePtr skip_node(NodePtr input, int64_t count) {
  check_count(count, "skip");
  if (count == -1) return take_node(std::move(input), 0);
  return std::make_shared<SkipNode>(std::move(input), count);
}

NodePtr shard_node(NodePtr input, int64_t num_shards, int64_t index, bool none_empty) {
  if (num_shards == kShardHint && index == kShardHint)
    return std::make_shared<ShardHintNode>(std::move(input));
  if (num_shards < 1) throw InvalidArgument("shard: got {} shards; want 1 or more", num_shards);
  if (index < 0 || index >= num_shards)
    throw InvalidArgument("shard: got index {} of {} shards; want 0 to {}", index, num_shards,
                          num_shards - 1);
  return std::make_shared<ShardNode>(std::move(input), num_shards, index, none_empty);
}

bool is_shard_hint(const Node& node) { return dynamic_cast<const ShardHintNode*>(&node); }

NodePtr repeat_node(NodePtr input, int64_t count) {
  check_count(count, "repeat");
  return std::make_shared<RepeatNode>(std::move(input), count);
}

NodePtr shuffle_node(NodePtr input, int64_t buffer_size, const ShuffleOptions& options) {
  if (buffer_size < 1)
    throw InvalidArgument("shuffle: got buffer size {}; want 1 or more", buffer_size);
  return std::make_shared<ShuffleNode>(std::move(input), buffer_size, options);
}

NodePtr filter_node(NodePtr input, Predicate predicate) {
  if (!predicate) throw InvalidArgument("filter: got an empty function; want one");
  return std::make_shared<FilterNode>(std::move(input), std::move(predicate));
}

}  // namespace cohort::data
