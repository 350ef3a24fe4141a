#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/prefetch_flow.h"

namespace cohort::data {
namespace {

class PrefetchNode : public Node {
 public:
  PrefetchNode(NodePtr input, int64_t buffer_size)
      : input_(std::move(input)), buffer_size_(buffer_size) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    return prefetch_flow(input_->elements(pass), buffer_size_, 1);
  }
  int64_t cardinality() const override { return input_->cardinality(); }
  ElementSpec spec() const override { return input_->spec(); }
  int64_t batch_size() const override { return input_->batch_size(); }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override { return input_->describe(); }  // the elements are the same
  FlowPtr<Element> selected_elements(const Pass& pass, const ItemPattern& pattern) const override {
    return prefetch_flow(input_->selected_elements(pass, pattern), buffer_size_, 1);
  }
  bool keeps_items() const override { return true; }
  bool says_rows() const override { return input_->says_rows(); }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return prefetch_node(std::move(inputs[0]), buffer_size_);
  }

  const NodePtr& input() const { return input_; }
  int64_t buffer_size() const { return buffer_size_; }

 private:
  NodePtr input_;
  int64_t buffer_size_;
};

}  // namespace

NodePtr prefetch_node(NodePtr input, int64_t buffer_size) {
  if (buffer_size < kAutotune)
    throw InvalidArgument("prefetch: got buffer size {}; want 0 or more, or kAutotune (-1)",
                          buffer_size);
  if (buffer_size == 0) return input;
  return std::make_shared<PrefetchNode>(std::move(input), buffer_size);
}

FlowPtr<Element> prefetch_flow(FlowPtr<Element> input, int64_t buffer_size, int64_t epochs) {
  return std::make_unique<PrefetchFlow>(std::move(input), buffer_size, epochs);
}

std::optional<PrefetchParts> prefetch_parts(const Node& node) {
  const auto* prefetch = dynamic_cast<const PrefetchNode*>(&node);
  if (!prefetch) return std::nullopt;
  return PrefetchParts{prefetch->input(), prefetch->buffer_size()};
}

}  // namespace cohort::data
