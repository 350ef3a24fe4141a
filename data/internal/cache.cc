#include <mutex>
#include <optional>
#include <tuple>

#include "cohort/data/internal/flows.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

namespace cohort::data {
namespace {

/// What one complete pass gave. Iterators share it; the first to finish fills it.
template <class Item>
class CacheMemory {
 public:
  using Items = std::shared_ptr<const std::vector<Item>>;

  /// nullptr when nothing was kept for this seed.
  Items find(uint64_t seed) const {
    const std::lock_guard lock(mutex_);
    return seed_ == seed ? items_ : nullptr;
  }
  void keep(uint64_t seed, std::vector<Item> items) {
    const std::lock_guard lock(mutex_);
    if (items_) return;
    items_ = std::make_shared<const std::vector<Item>>(std::move(items));
    seed_ = seed;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<uint64_t> seed_;
  Items items_;
};

template <class Item>
class ReplayFlow : public Flow<Item> {
 public:
  explicit ReplayFlow(typename CacheMemory<Item>::Items items) : items_(std::move(items)) {}

  int64_t next(std::span<Item> out) override {
    const int64_t count = std::min(std::ssize(out), std::ssize(*items_) - at_);
    std::copy_n(items_->begin() + at_, count, out.begin());
    at_ += count;
    return count;
  }
  int64_t skip(int64_t count) override {
    const int64_t skipped = std::min(count, std::ssize(*items_) - at_);
    at_ += skipped;
    return skipped;
  }

 private:
  typename CacheMemory<Item>::Items items_;
  int64_t at_ = 0;
};

/// Passes items on and remembers them. A pass that skips or stops early keeps nothing.
template <class Item>
class RecordFlow : public Flow<Item> {
 public:
  RecordFlow(FlowPtr<Item> input, std::shared_ptr<CacheMemory<Item>> memory, uint64_t seed)
      : input_(std::move(input)), memory_(std::move(memory)), seed_(seed) {}

  int64_t next(std::span<Item> out) override {
    const int64_t got = input_->next(out);
    if (!memory_) return got;
    items_.insert(items_.end(), out.begin(), out.begin() + got);
    if (got < std::ssize(out)) std::exchange(memory_, nullptr)->keep(seed_, std::move(items_));
    return got;
  }
  int64_t skip(int64_t count) override {
    if (count > 0) memory_ = nullptr;
    return input_->skip(count);
  }

 private:
  FlowPtr<Item> input_;
  std::shared_ptr<CacheMemory<Item>> memory_;  ///< nullptr: not recording
  uint64_t seed_;
  std::vector<Item> items_;
};

class CacheNode : public Node {
 public:
  explicit CacheNode(NodePtr input) : input_(std::move(input)) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    if (RowsPtr rows = input_->rows()) return elements_of_rows(std::move(rows), row_numbers(pass));
    return flow(pass, elements_);
  }
  RowsPtr rows() const override { return input_->rows(); }
  FlowPtr<int64_t> row_numbers(const Pass& pass) const override { return flow(pass, numbers_); }
  int64_t cardinality() const override { return input_->cardinality(); }
  ElementSpec spec() const override { return input_->spec(); }
  int64_t batch_size() const override { return input_->batch_size(); }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override { return input_->describe() + ".cache()"; }
  bool keeps_items() const override { return true; }
  bool says_rows() const override { return input_->says_rows(); }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return cache_node(std::move(inputs[0]));
  }

 private:
  template <class Item>
  FlowPtr<Item> flow(const Pass& pass, const std::shared_ptr<CacheMemory<Item>>& memory) const {
    if (auto items = memory->find(pass.seed))
      return std::make_unique<ReplayFlow<Item>>(std::move(items));
    return std::make_unique<RecordFlow<Item>>(flow_of<Item>(*input_, Pass{pass.seed, 0}), memory,
                                              pass.seed);
  }

  NodePtr input_;
  std::shared_ptr<CacheMemory<int64_t>> numbers_ = std::make_shared<CacheMemory<int64_t>>();
  std::shared_ptr<CacheMemory<Element>> elements_ = std::make_shared<CacheMemory<Element>>();
};

}  // namespace

NodePtr cache_node(NodePtr input) {
  if (input->cardinality() == kInfiniteCardinality)
    throw InvalidArgument("cache: got an infinite dataset; want one that ends (take before cache)");
  return std::make_shared<CacheNode>(std::move(input));
}

}  // namespace cohort::data
