#include "cohort/data/internal/flows.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

namespace cohort::data {
namespace {

/// Row numbers of the second source, in the numbering of both.
class OffsetFlow : public RowFlow {
 public:
  OffsetFlow(FlowPtr<int64_t> input, int64_t offset) : input_(std::move(input)), offset_(offset) {}
  int64_t next(std::span<int64_t> out) override {
    const int64_t got = input_->next(out);
    for (int64_t i = 0; i < got; ++i) out[static_cast<size_t>(i)] += offset_;
    return got;
  }
  int64_t skip(int64_t count) override { return input_->skip(count); }

 private:
  FlowPtr<int64_t> input_;
  int64_t offset_;
};

bool columns_agree(const Rows& a, const Rows& b) {
  for (size_t c = 0; c < a.columns.size(); ++c) {
    const Column &x = a.columns[c], &y = b.columns[c];
    if (x.stored != y.stored || x.dtype != y.dtype || x.scale != y.scale ||
        x.row_shape != y.row_shape)
      return false;
  }
  return true;
}

/// Equal specs but for the number of rows in a batch, which is then a symbol.
ElementSpec common_spec(const ElementSpec& a, const ElementSpec& b) {
  if (a.size() != b.size())
    throw InvalidArgument("concatenate: got {} components and {}; want equal numbers", a.size(),
                          b.size());
  ElementSpec spec = a;
  for (size_t c = 0; c < spec.size(); ++c) {
    Shape& shape = spec[c].shape;
    if (shape.rank() > 0 && b[c].shape.rank() > 0 && shape[0] != b[c].shape[0])
      shape[0] = batch_dim();
    Shape other = b[c].shape;
    if (other.rank() > 0 && shape.rank() > 0) other[0] = shape[0];
    if (a[c].dtype != b[c].dtype || shape != other)
      throw InvalidArgument(
          "concatenate: got {}{} and {}{} as component {}; want equal dtypes, and "
          "shapes that differ in the first dimension only",
          a[c].dtype, a[c].shape, b[c].dtype, b[c].shape, c);
  }
  return spec;
}

class ConcatenateNode : public Node {
 public:
  ConcatenateNode(NodePtr first, NodePtr second)
      : first_(std::move(first)),
        second_(std::move(second)),
        spec_(common_spec(first_->spec(), second_->spec())) {
    const RowsPtr a = first_->rows(), b = second_->rows();
    if (!a || !b || !columns_agree(*a, *b)) return;
    rows_ = concatenated(*a, *b);
    offset_ = a->count;
  }

  FlowPtr<Element> elements(const Pass& pass) const override {
    if (rows_) return elements_of_rows(rows_, row_numbers(pass));
    return std::make_unique<ConcatenateFlow<Element>>(first_->elements(pass),
                                                      second_->elements(pass));
  }
  RowsPtr rows() const override { return rows_; }
  FlowPtr<int64_t> row_numbers(const Pass& pass) const override {
    return std::make_unique<ConcatenateFlow<int64_t>>(
        first_->row_numbers(pass),
        std::make_unique<OffsetFlow>(second_->row_numbers(pass), offset_));
  }
  int64_t cardinality() const override {
    const int64_t a = first_->cardinality(), b = second_->cardinality();
    if (a == kInfiniteCardinality || b == kInfiniteCardinality) return kInfiniteCardinality;
    return a < 0 || b < 0 ? kUnknownCardinality : a + b;
  }
  ElementSpec spec() const override { return spec_; }
  int64_t batch_size() const override {
    return first_->batch_size() == second_->batch_size() ? first_->batch_size() : -1;
  }
  int num_shuffles() const override {
    return std::max(first_->num_shuffles(), second_->num_shuffles());
  }
  std::string describe() const override {
    return fmt::format("{}.concatenate({})", first_->describe(), second_->describe());
  }
  bool keeps_items() const override { return true; }
  bool says_rows() const override { return first_->says_rows(); }
  std::vector<NodePtr> inputs() const override { return {first_, second_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return concatenate_node(std::move(inputs[0]), std::move(inputs[1]));
  }

 private:
  NodePtr first_;
  NodePtr second_;
  ElementSpec spec_;
  RowsPtr rows_;
  int64_t offset_ = 0;
};

}  // namespace

NodePtr concatenate_node(NodePtr first, NodePtr second) {
  return std::make_shared<ConcatenateNode>(std::move(first), std::move(second));
}

}  // namespace cohort::data
