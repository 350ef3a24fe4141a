#include <fmt/format.h>

#include <algorithm>

#include "cohort/data/internal/batch.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rebatch_flows.h"

/// Batches cut anew. Where the input is a batch of known steps, its own input is batched otherwise
/// and nothing is copied twice.
namespace cohort::data {
namespace {

/// One row, without its batch dimension.
ElementSpec row_spec_of(ElementSpec spec, std::string_view where) {
  for (size_t c = 0; c < spec.size(); ++c) {
    if (spec[c].shape.rank() == 0)
      throw InvalidArgument("{}: got a scalar as component {}; want a batch, of rank 1 or more",
                            where, c);
    spec[c].shape = spec[c].shape.slice(1);
  }
  return spec;
}

/// The leading dimension of the first component: rows per element, or -1 where it varies.
int64_t fixed_rows(const Node& node) {
  const Dim first = node.spec()[0].shape[0];
  return first.is_symbol() ? -1 : first.number();
}

class RebatchNode : public Node {
 public:
  RebatchNode(NodePtr input, Sizes sizes, bool fixed_size, std::string description)
      : input_(std::move(input)),
        row_spec_(row_spec_of(input_->spec(), "rebatch")),
        sizes_(std::move(sizes)),
        fixed_size_(fixed_size),
        description_(std::move(description)) {}
  FlowPtr<Element> elements(const Pass& pass) const override {
    return std::make_unique<RebatchFlow>(input_->elements(pass), row_spec_, sizes_);
  }
  int64_t cardinality() const override {
    const int64_t batches = input_->cardinality(), rows = fixed_rows(*input_);
    if (batches <= 0) return batches;
    return rows >= 0 ? sizes_.num_batches(batches * rows) : kUnknownCardinality;
  }
  ElementSpec spec() const override {
    ElementSpec spec = row_spec_;
    for (ComponentSpec& component : spec)
      component.shape = Shape{fixed_size_ ? Dim(sizes_.sizes[0]) : batch_dim()} + component.shape;
    return spec;
  }
  int64_t batch_size() const override { return sizes_.are_equal() ? sizes_.sizes[0] : -1; }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override { return description_; }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return rebatch_node(std::move(inputs[0]), sizes_.sizes, sizes_.drop_remainder);
  }

 private:
  NodePtr input_;
  ElementSpec row_spec_;
  Sizes sizes_;
  bool fixed_size_;
  std::string description_;
};

class LegacyRebatchNode : public Node {
 public:
  LegacyRebatchNode(NodePtr input, int64_t num_replicas)
      : input_(std::move(input)),
        row_spec_(row_spec_of(input_->spec(), "legacy_rebatch")),
        num_replicas_(num_replicas) {}
  FlowPtr<Element> elements(const Pass& pass) const override {
    if (const BatchParts* batch = batch_parts(*input_))
      if (RowsPtr rows = batch->input->rows())
        return std::make_unique<LegacyGatherFlow>(std::move(rows), batch->input->row_numbers(pass),
                                                  batch->sizes, num_replicas_);
    return std::make_unique<LegacyRebatchFlow>(input_->elements(pass), row_spec_, num_replicas_);
  }
  int64_t cardinality() const override {
    const int64_t batches = input_->cardinality();
    return batches <= 0 ? batches : batches * num_replicas_;
  }
  ElementSpec spec() const override {
    ElementSpec spec = row_spec_;
    const int64_t rows = fixed_rows(*input_);
    const Dim size = divides(rows) ? Dim(rows / num_replicas_) : batch_dim();
    for (ComponentSpec& component : spec) component.shape = Shape{size} + component.shape;
    return spec;
  }
  int64_t batch_size() const override {
    const int64_t rows = input_->batch_size();
    return divides(rows) ? rows / num_replicas_ : -1;
  }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override {
    return fmt::format("{}.legacy_rebatch({})", input_->describe(), num_replicas_);
  }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return legacy_rebatch_node(std::move(inputs[0]), num_replicas_);
  }

 private:
  bool divides(int64_t rows) const { return rows >= 0 && rows % num_replicas_ == 0; }

  NodePtr input_;
  ElementSpec row_spec_;
  int64_t num_replicas_;
};

class UnbatchNode : public Node {
 public:
  explicit UnbatchNode(NodePtr input)
      : input_(std::move(input)), row_spec_(row_spec_of(input_->spec(), "unbatch")) {}
  FlowPtr<Element> elements(const Pass& pass) const override {
    return std::make_unique<UnbatchFlow>(input_->elements(pass));
  }
  int64_t cardinality() const override {
    const int64_t batches = input_->cardinality(), rows = fixed_rows(*input_);
    if (batches <= 0) return batches;
    return rows >= 0 ? batches * rows : kUnknownCardinality;
  }
  ElementSpec spec() const override { return row_spec_; }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override { return input_->describe() + ".unbatch()"; }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return unbatch_node(std::move(inputs[0]));
  }

 private:
  NodePtr input_;
  ElementSpec row_spec_;
};

/// The rows that `batch` keeps of its input, as a node; nullptr where that is not known beforehand.
NodePtr rows_under(const BatchParts& batch) {
  const int64_t rows = batch.input->cardinality();
  if (!batch.sizes.drop_remainder || rows == kInfiniteCardinality) return batch.input;
  if (rows < 0 || batch.sizes.sizes.size() != 1) return nullptr;
  return take_node(batch.input, rows - rows % batch.sizes.total());
}

}  // namespace

NodePtr rebatch_node(NodePtr input, std::vector<int64_t> sizes, bool drop_remainder) {
  const bool valid =
      std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size >= 0; });
  if (sizes.empty() || !valid || Sizes{sizes}.total() == 0)
    throw InvalidArgument("rebatch: got sizes [{}]; want 0 or more each, and one above 0",
                          fmt::join(sizes, ", "));
  if (const auto prefetch = prefetch_parts(*input))
    return prefetch_node(rebatch_node(prefetch->input, std::move(sizes), drop_remainder),
                         prefetch->buffer_size);
  row_spec_of(input->spec(), "rebatch");
  std::string text = fmt::format("{}.rebatch([{}]{})", input->describe(), fmt::join(sizes, ", "),
                                 drop_remainder ? ", drop_remainder" : "");
  Sizes cut{std::move(sizes), drop_remainder};
  const int64_t rows = fixed_rows(*input);
  const bool fixed_size =
      cut.are_equal() && (drop_remainder || (rows >= 0 && rows % cut.sizes[0] == 0));
  if (const BatchParts* batch = batch_parts(*input))
    if (NodePtr under = rows_under(*batch))
      return make_batch(
          {std::move(under), cut, fixed_size}, input,
          [cut](NodePtr other) {
            return rebatch_node(std::move(other), cut.sizes, cut.drop_remainder);
          },
          std::move(text));
  return std::make_shared<RebatchNode>(std::move(input), std::move(cut), fixed_size,
                                       std::move(text));
}

NodePtr legacy_rebatch_node(NodePtr input, int64_t num_replicas) {
  if (num_replicas < 1)
    throw InvalidArgument("legacy_rebatch: got {} replicas; want 1 or more", num_replicas);
  if (const auto prefetch = prefetch_parts(*input))
    return prefetch_node(legacy_rebatch_node(prefetch->input, num_replicas), prefetch->buffer_size);
  return std::make_shared<LegacyRebatchNode>(std::move(input), num_replicas);
}

NodePtr unbatch_node(NodePtr input) {
  if (const BatchParts* batch = batch_parts(*input))
    if (NodePtr under = rows_under(*batch)) return under;
  return std::make_shared<UnbatchNode>(std::move(input));
}

}  // namespace cohort::data
