#include "cohort/data/internal/batch.h"

#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

namespace cohort::data {
namespace {

/// Gathers batches straight from source rows.
class RowBatchFlow : public ElementFlow {
 public:
  RowBatchFlow(RowsPtr rows, FlowPtr<int64_t> numbers, const Sizes& sizes)
      : rows_(std::move(rows)), input_(std::move(numbers)), turns_(sizes) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      const std::optional<int64_t> size = turns_.next_size();
      if (!size) return static_cast<int64_t>(filled);
      numbers_.resize(static_cast<size_t>(*size));
      const int64_t got = input_->next(numbers_);
      if (!turns_.accepts(got, *size)) return static_cast<int64_t>(filled);
      numbers_.resize(static_cast<size_t>(got));
      gather_batch(*rows_, numbers_, out[filled]);
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
  std::vector<int64_t> numbers_;
};

/// Stacks elements: each becomes one row.
class StackFlow : public ElementFlow {
 public:
  StackFlow(NodePtr input, const Pass& pass, const Sizes& sizes)
      : node_(std::move(input)), input_(node_->elements(pass)), turns_(sizes) {}

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
    int64_t got = 0;
    for (; got < *size && input_->next({&row_, 1}) == 1; ++got) {
      if (got == 0) begin_batch(out, row_, Source::kRow, *size);
      append_rows(out, got, row_, Source::kRow, 0, 1, "batch");
    }
    if (!turns_.accepts(got, *size)) return false;
    if (*size == 0) make_empty_batch(out, node_->spec());
    if (got < *size) shorten_batch(out, got);
    return true;
  }

  NodePtr node_;
  FlowPtr<Element> input_;
  Turns turns_;
  Element row_;
};

/// `size` in front of `row`. A batch dimension that is in it already (a batch of batches) becomes
/// another symbol.
Shape batched(const Shape& row, const Dim& size) {
  Shape shape{size};
  for (const Dim& dim : row.dims())
    shape.push_back(dim.is_symbol() ? Dim(dim.symbol() + "'") : dim);
  return shape;
}

class BatchNode : public Node {
 public:
  BatchNode(BatchParts parts, NodePtr input, std::function<NodePtr(NodePtr)> again,
            std::string description)
      : parts_(std::move(parts)),
        input_(std::move(input)),
        again_(std::move(again)),
        description_(std::move(description)) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    const NodePtr& input = parts_.input;
    if (RowsPtr rows = input->rows())
      return std::make_unique<RowBatchFlow>(std::move(rows), input->row_numbers(pass),
                                            parts_.sizes);
    return std::make_unique<StackFlow>(input, pass, parts_.sizes);
  }
  int64_t cardinality() const override {
    return parts_.sizes.num_batches(parts_.input->cardinality());
  }
  ElementSpec spec() const override {
    ElementSpec spec = parts_.input->spec();
    const Dim size = parts_.fixed_size ? Dim(parts_.sizes.sizes[0]) : batch_dim();
    for (ComponentSpec& component : spec) component.shape = batched(component.shape, size);
    return spec;
  }
  int64_t batch_size() const override {
    return parts_.sizes.are_equal() ? parts_.sizes.sizes[0] : -1;
  }
  int num_shuffles() const override { return parts_.input->num_shuffles(); }
  std::string describe() const override { return description_; }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return again_(std::move(inputs[0]));
  }

  const BatchParts& parts() const { return parts_; }

 private:
  BatchParts parts_;
  NodePtr input_;
  std::function<NodePtr(NodePtr)> again_;
  std::string description_;
};

}  // namespace

NodePtr make_batch(BatchParts parts, NodePtr input, std::function<NodePtr(NodePtr)> again,
                   std::string description) {
  return std::make_shared<BatchNode>(std::move(parts), std::move(input), std::move(again),
                                     std::move(description));
}

const BatchParts* batch_parts(const Node& node) {
  const auto* batch = dynamic_cast<const BatchNode*>(&node);
  return batch ? &batch->parts() : nullptr;
}

NodePtr batch_node(NodePtr input, int64_t batch_size, bool drop_remainder) {
  if (batch_size < 1) throw InvalidArgument("batch: got batch size {}; want 1 or more", batch_size);
  std::string text = fmt::format("{}.batch({}{})", input->describe(), batch_size,
                                 drop_remainder ? ", drop_remainder" : "");
  return make_batch(
      {input, Sizes{{batch_size}, drop_remainder}, drop_remainder}, input,
      [batch_size, drop_remainder](NodePtr other) {
        return batch_node(std::move(other), batch_size, drop_remainder);
      },
      std::move(text));
}

}  // namespace cohort::data
