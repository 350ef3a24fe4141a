#include <numeric>

#include "data/internal/flows.h"
#include "data/internal/nodes.h"
#include "data/internal/rows.h"

namespace cohort::data {
namespace {

/// Batches of sizes[0], sizes[1], … in turn, over and over. Where the input gives fewer rows than a
/// size asks for, the batch is short and the last one. A size 0 is an empty batch.
struct Sizes {
  std::vector<int64_t> sizes;
  bool drop_remainder = false;

  int64_t total() const { return std::accumulate(sizes.begin(), sizes.end(), int64_t{0}); }
  bool are_equal() const {
    return std::all_of(sizes.begin(), sizes.end(), [&](int64_t s) { return s == sizes[0]; });
  }
};

/// Gathers batches straight from source rows.
class RowBatchFlow : public ElementFlow {
 public:
  RowBatchFlow(RowsPtr rows, FlowPtr<int64_t> numbers, const Sizes& sizes)
      : rows_(std::move(rows)), input_(std::move(numbers)), sizes_(sizes) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      if (!take_numbers()) return static_cast<int64_t>(filled);
      gather_batch(*rows_, numbers_, out[filled]);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = 0;
    while (skipped < count && take_numbers()) ++skipped;
    return skipped;
  }

 private:
  bool take_numbers() {
    if (ended_) return false;
    const int64_t size = sizes_.sizes[turn_];
    numbers_.resize(static_cast<size_t>(size));
    const int64_t got = input_->next(numbers_);
    numbers_.resize(static_cast<size_t>(got));
    ended_ = got < size;
    turn_ = turn_ + 1 == sizes_.sizes.size() ? 0 : turn_ + 1;
    return !ended_ || (got > 0 && !sizes_.drop_remainder);
  }

  RowsPtr rows_;
  FlowPtr<int64_t> input_;
  Sizes sizes_;
  std::vector<int64_t> numbers_;
  size_t turn_ = 0;
  bool ended_ = false;
};

/// Stacks elements: each becomes one row.
class StackFlow : public ElementFlow {
 public:
  StackFlow(FlowPtr<Element> input, ElementSpec spec, const Sizes& sizes)
      : input_(std::move(input)), spec_(std::move(spec)), sizes_(sizes) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled)
      if (!next_batch(out[filled])) return static_cast<int64_t>(filled);
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = 0;
    for (; skipped < count && !ended_; ++skipped) {
      const int64_t size = next_size();
      const int64_t got = input_->skip(size);
      ended_ = got < size;
      if (ended_ && (got == 0 || sizes_.drop_remainder)) break;
    }
    return skipped;
  }

 private:
  int64_t next_size() {
    const int64_t size = sizes_.sizes[turn_];
    turn_ = turn_ + 1 == sizes_.sizes.size() ? 0 : turn_ + 1;
    return size;
  }

  bool next_batch(Element& out) {
    if (ended_) return false;
    const int64_t size = next_size();
    int64_t got = 0;
    while (got < size && input_->next({&item_, 1}) == 1) {
      if (got == 0) begin(out, size);
      append(out, got++);
    }
    ended_ = got < size;
    if (size == 0) make_empty(out);
    else if (got == 0 || (ended_ && sizes_.drop_remainder)) return false;
    if (got < size) shorten(out, got);
    return true;
  }

  void begin(Element& out, int64_t size) {
    out.resize(item_.size());
    for (size_t c = 0; c < out.size(); ++c)
      prepare_batch(out[c], item_[c].dtype(), size, item_[c].shape());
  }

  void append(Element& out, int64_t row) {
    if (item_.size() != out.size())
      throw InvalidArgument("batch: got {} components in row {} and {} in row 0; want equal numbers",
                            item_.size(), row, out.size());
    for (size_t c = 0; c < out.size(); ++c) {
      const Shape wanted = out[c].shape().slice(1);
      if (item_[c].dtype() != out[c].dtype() || item_[c].shape() != wanted)
        throw InvalidArgument("batch: got {}{} as component {} of row {} and {}{} of row 0; want "
                              "equal dtypes and shapes",
                              item_[c].dtype(), item_[c].shape(), c, row, out[c].dtype(), wanted);
      const Tensor source = item_[c].contiguous();
      const size_t bytes = source.num_bytes();
      if (bytes > 0)
        std::memcpy(static_cast<char*>(out[c].raw()) + static_cast<size_t>(row) * bytes,
                    source.raw(), bytes);
    }
  }

  void shorten(Element& out, int64_t rows) {
    for (Tensor& tensor : out) tensor = tensor.slice(0, 0, rows);
  }

  void make_empty(Element& out) {
    out.resize(spec_.size());
    for (size_t c = 0; c < out.size(); ++c) {
      Shape row = spec_[c].shape;
      for (int axis = 0; axis < row.rank(); ++axis)
        if (row[axis].is_symbol()) row[axis] = Dim(0);
      prepare_batch(out[c], spec_[c].dtype, 0, row);
    }
  }

  FlowPtr<Element> input_;
  ElementSpec spec_;
  Sizes sizes_;
  Element item_;
  size_t turn_ = 0;
  bool ended_ = false;
};

/// The batch dimension in front of `row`; a batch dimension that is in it already (a batch of
/// batches) becomes another symbol.
Shape batched(const Shape& row, const Dim& size) {
  Shape shape{size};
  for (int axis = 0; axis < row.rank(); ++axis)
    shape.push_back(row[axis].is_symbol() ? Dim(row[axis].symbol() + "'") : row[axis]);
  return shape;
}

class BatchNode : public Node {
 public:
  /// `fixed_size`: every batch has sizes[0] rows.
  BatchNode(NodePtr input, Sizes sizes, bool fixed_size, std::string description)
      : input_(std::move(input)),
        sizes_(std::move(sizes)),
        fixed_size_(fixed_size),
        description_(std::move(description)) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    if (RowsPtr rows = input_->rows())
      return std::make_unique<RowBatchFlow>(std::move(rows), input_->row_numbers(pass), sizes_);
    return std::make_unique<StackFlow>(input_->elements(pass), input_->spec(), sizes_);
  }
  int64_t cardinality() const override;
  ElementSpec spec() const override {
    ElementSpec spec = input_->spec();
    const Dim size = fixed_size_ ? Dim(sizes_.sizes[0]) : batch_dim();
    for (ComponentSpec& component : spec) component.shape = batched(component.shape, size);
    return spec;
  }
  int64_t batch_size() const override { return sizes_.are_equal() ? sizes_.sizes[0] : -1; }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override { return description_; }

  const NodePtr& input() const { return input_; }
  const Sizes& sizes() const { return sizes_; }
  bool fixed_size() const { return fixed_size_; }

 private:
  NodePtr input_;
  Sizes sizes_;
  bool fixed_size_;
  std::string description_;
};

int64_t BatchNode::cardinality() const {
  const int64_t rows = input_->cardinality();
  if (rows < 0) return rows;
  int64_t left = rows % sizes_.total();
  int64_t batches = rows / sizes_.total() * std::ssize(sizes_.sizes);
  for (int64_t size : sizes_.sizes) {  // the last, incomplete cycle
    if (size > left) return batches + (left > 0 && !sizes_.drop_remainder ? 1 : 0);
    left -= size;
    ++batches;
  }
  return batches;
}

}  // namespace

NodePtr batch_node(NodePtr input, int64_t batch_size, bool drop_remainder) {
  if (batch_size < 1) throw InvalidArgument("batch: got batch size {}; want 1 or more", batch_size);
  std::string text = fmt::format("{}.batch({}{})", input->describe(), batch_size,
                                 drop_remainder ? ", drop_remainder" : "");
  return std::make_shared<BatchNode>(std::move(input), Sizes{{batch_size}, drop_remainder},
                                     drop_remainder, std::move(text));
}

}  // namespace cohort::data
