#include <algorithm>
#include <optional>

#include "cohort/data/batch_sizes.h"
#include "cohort/data/internal/batch.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

/// Batches of which only some replicas' rows are made. Every element is followed by a tensor i64
/// [2]: the first row's number in the whole batch, and the whole batch's rows.
namespace cohort::data {
namespace {

struct Split {
  RowSplit replicas;
  int64_t batch_size = -1;

  RowSpan of(int64_t rows) const { return rows_of_replicas(rows, batch_size, replicas); }
};

/// Takes the trailing tensor off an element that is to be written again, for its memory.
Tensor take_range(Element& out, size_t num_components) {
  if (out.size() != num_components + 1) return {};
  Tensor range = std::move(out.back());
  out.pop_back();
  return range;
}

void append_range(Element& out, Tensor range, int64_t first, int64_t rows) {
  prepare_batch(range, DType::kI64, 2, Shape());
  range.data<int64_t>()[0] = first;
  range.data<int64_t>()[1] = rows;
  out.push_back(std::move(range));
}

/// Gathers batches from source rows.
class GatherFlow : public ElementFlow {
 public:
  GatherFlow(RowsPtr rows, FlowPtr<int64_t> numbers, const Sizes& sizes, const Split& split)
      : rows_(std::move(rows)), input_(std::move(numbers)), turns_(sizes), split_(split) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      const std::optional<int64_t> size = turns_.next_size();
      if (!size) return static_cast<int64_t>(filled);
      numbers_.resize(static_cast<size_t>(*size));
      const int64_t got = input_->next(numbers_);
      if (!turns_.accepts(got, *size)) return static_cast<int64_t>(filled);
      const RowSpan own = split_.of(got);
      Tensor range = take_range(out[filled], rows_->columns.size());
      gather_batch(*rows_,
                   std::span(numbers_).subspan(static_cast<size_t>(own.begin),
                                               static_cast<size_t>(own.end - own.begin)),
                   out[filled]);
      append_range(out[filled], std::move(range), own.begin, got);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    return turns_.skip(count, [&](int64_t rows) { return input_->skip(rows); });
  }

 private:
  RowsPtr rows_;
  FlowPtr<int64_t> input_;
  Turns turns_;
  Split split_;
  std::vector<int64_t> numbers_;
};

/// Stacks elements, of batches of one known size.
class StackRowsFlow : public ElementFlow {
 public:
  StackRowsFlow(NodePtr input, const Pass& pass, const Sizes& sizes, const Split& split)
      : node_(std::move(input)),
        own_(split.of(sizes.sizes[0])),
        input_(node_->selected_elements(pass, {sizes.sizes[0], own_.begin, own_.end})),
        turns_(sizes) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled)
      if (!next_batch(out[filled])) return static_cast<int64_t>(filled);
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    return turns_.skip(count, [&](int64_t rows) { return input_->skip(rows); });
  }

 private:
  bool next_batch(Element& out) {
    const std::optional<int64_t> size = turns_.next_size();
    if (!size) return false;
    if (num_components_ == 0) num_components_ = node_->spec().size();
    Tensor range = take_range(out, num_components_);
    const int64_t own_rows = own_.end - own_.begin;
    int64_t got = input_->skip(own_.begin), taken = 0;
    if (got == own_.begin) {
      for (; taken < own_rows && input_->next({&row_, 1}) == 1; ++taken) {
        if (taken == 0) begin_batch(out, row_, Source::kRow, own_rows);
        append_rows(out, taken, row_, Source::kRow, 0, 1, "batch");
      }
      got += taken;
      if (taken == own_rows) got += input_->skip(*size - own_.end);
    }
    if (!turns_.accepts(got, *size)) return false;
    if (taken == 0)
      make_empty_batch(out, node_->spec());
    else if (taken < own_rows)
      shorten_batch(out, taken);
    append_range(out, std::move(range), std::min(own_.begin, got), got);
    return true;
  }

  NodePtr node_;
  RowSpan own_;  ///< of a full batch
  FlowPtr<Element> input_;
  Turns turns_;
  Element row_;
  size_t num_components_ = 0;
};

class BatchRowsNode : public Node {
 public:
  BatchRowsNode(NodePtr batch, const Split& split) : batch_(std::move(batch)), split_(split) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    const BatchParts& parts = *batch_parts(*batch_);
    if (RowsPtr rows = parts.input->rows())
      return std::make_unique<GatherFlow>(std::move(rows), parts.input->row_numbers(pass),
                                          parts.sizes, split_);
    return std::make_unique<StackRowsFlow>(parts.input, pass, parts.sizes, split_);
  }
  /// Whether `node` is a batch whose rows can be chosen beforehand.
  static bool accepts(const Node& node, int64_t batch_size) {
    const BatchParts* parts = batch_parts(node);
    return parts && (parts->input->rows() ||
                     (parts->sizes.sizes.size() == 1 && parts->sizes.sizes[0] == batch_size));
  }

  int64_t cardinality() const override { return batch_->cardinality(); }
  ElementSpec spec() const override {
    ElementSpec spec = batch_->spec();
    for (ComponentSpec& component : spec) component.shape[0] = batch_dim();
    return spec;
  }
  int64_t batch_size() const override { return batch_->batch_size(); }
  int num_shuffles() const override { return batch_->num_shuffles(); }
  bool says_rows() const override { return true; }
  std::string describe() const override { return batch_->describe(); }

 protected:
  NodePtr batch_;
  Split split_;
};

/// Cuts whole batches, copying the rows.
class CutFlow : public ElementFlow {
 public:
  CutFlow(FlowPtr<Element> input, const Split& split) : input_(std::move(input)), split_(split) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      if (input_->next({&whole_, 1}) == 0) return static_cast<int64_t>(filled);
      for (const Tensor& tensor : whole_)
        if (tensor.rank() == 0 || tensor.size(0) != whole_[0].size(0))
          throw InvalidArgument(
              "batch_rows: got components of shapes {} and {}; want equal "
              "numbers of rows",
              whole_[0].shape(), tensor.shape());
      const int64_t rows = whole_[0].size(0);
      const RowSpan own = split_.of(rows);
      Tensor range = take_range(out[filled], whole_.size());
      begin_batch(out[filled], whole_, Source::kRows, own.end - own.begin);
      append_rows(out[filled], 0, whole_, Source::kRows, own.begin, own.end - own.begin,
                  "batch_rows");
      append_range(out[filled], std::move(range), own.begin, rows);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override { return input_->skip(count); }

 private:
  FlowPtr<Element> input_;
  Split split_;
  Element whole_;
};

class CutNode : public BatchRowsNode {
 public:
  using BatchRowsNode::BatchRowsNode;
  FlowPtr<Element> elements(const Pass& pass) const override {
    return std::make_unique<CutFlow>(batch_->elements(pass), split_);
  }
};

NodePtr push_down(const NodePtr& node, const Split& split) {
  if (node->keeps_items()) {
    std::vector<NodePtr> inputs = node->inputs();
    for (NodePtr& input : inputs) input = push_down(input, split);
    return node->with_inputs(std::move(inputs));
  }
  if (BatchRowsNode::accepts(*node, split.batch_size))
    return std::make_shared<BatchRowsNode>(node, split);
  return std::make_shared<CutNode>(node, split);
}

}  // namespace

NodePtr batch_rows_node(const NodePtr& input, const RowSplit& split) {
  if (split.first < 0 || split.count < 1 || split.num_replicas - split.count < split.first)
    throw InvalidArgument("batch_rows: got {} replicas from {} on, of {}; want 1 or more of them",
                          split.count, split.first, split.num_replicas);
  const ElementSpec spec = input->spec();
  for (size_t c = 0; c < spec.size(); ++c)
    if (spec[c].shape.rank() == 0)
      throw InvalidArgument(
          "batch_rows: got a scalar as component {}; want a batch, of rank 1 or "
          "more",
          c);
  if (split.count == split.num_replicas) return input;
  return push_down(input, {split, batch_size_of(*input)});
}

}  // namespace cohort::data
