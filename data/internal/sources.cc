#include <limits>

#include "cohort/data/internal/flows.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

namespace cohort::data {
namespace {

std::string describe_spec(const ElementSpec& spec) {
  std::string text;
  for (const ComponentSpec& component : spec)
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", component.dtype, component.shape);
  return text;
}

/// Every row of a random-access source, in order.
class RowsNode : public Node {
 public:
  RowsNode(RowsPtr rows, std::string description)
      : rows_(std::move(rows)), description_(std::move(description)) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    return elements_of_rows(rows_, row_numbers(pass));
  }
  RowsPtr rows() const override { return rows_; }
  FlowPtr<int64_t> row_numbers(const Pass&) const override {
    return std::make_unique<CountFlow>(0, rows_->count);
  }
  int64_t cardinality() const override { return rows_->count; }
  ElementSpec spec() const override { return rows_->spec(); }
  std::string describe() const override { return description_; }

 private:
  RowsPtr rows_;
  std::string description_;
};

class OneElementFlow : public ElementFlow {
 public:
  explicit OneElementFlow(Element element) : element_(std::move(element)) {}
  int64_t next(std::span<Element> out) override {
    if (out.empty() || done_) return 0;
    done_ = true;
    out[0] = element_;
    return 1;
  }

 private:
  Element element_;
  bool done_ = false;
};

class TensorsNode : public Node {
 public:
  explicit TensorsNode(Element components) : components_(std::move(components)) {}
  FlowPtr<Element> elements(const Pass&) const override {
    return std::make_unique<OneElementFlow>(components_);
  }
  int64_t cardinality() const override { return 1; }
  ElementSpec spec() const override {
    ElementSpec spec;
    for (const Tensor& tensor : components_) spec.push_back({tensor.dtype(), tensor.shape()});
    return spec;
  }
  std::string describe() const override {
    return fmt::format("from_tensors({})", describe_spec(spec()));
  }

 private:
  Element components_;
};

class ZipFlow : public ElementFlow {
 public:
  explicit ZipFlow(std::vector<FlowPtr<Element>> inputs)
      : inputs_(std::move(inputs)), parts_(inputs_.size()) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled)
      if (!next_one(out[filled])) return static_cast<int64_t>(filled);
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = count;
    for (auto& input : inputs_) skipped = std::min(skipped, input->skip(count));
    ended_ = ended_ || skipped < count;
    return skipped;
  }

 private:
  bool next_one(Element& out) {
    size_t width = 0;
    for (size_t i = 0; i < inputs_.size() && !ended_; ++i) {
      ended_ = inputs_[i]->next({&parts_[i], 1}) == 0;
      width += parts_[i].size();
    }
    if (ended_) return false;
    out.resize(width);
    size_t c = 0;
    for (Element& part : parts_)
      for (Tensor& tensor : part) std::swap(out[c++], tensor);
    return true;
  }

  std::vector<FlowPtr<Element>> inputs_;
  std::vector<Element> parts_;
  bool ended_ = false;
};

class ZipNode : public Node {
 public:
  explicit ZipNode(std::vector<NodePtr> inputs) : inputs_(std::move(inputs)) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    std::vector<FlowPtr<Element>> flows;
    for (const NodePtr& input : inputs_) flows.push_back(input->elements(pass));
    return std::make_unique<ZipFlow>(std::move(flows));
  }
  int64_t cardinality() const override {
    int64_t least = kInfiniteCardinality;
    for (const NodePtr& input : inputs_) {
      const int64_t size = input->cardinality();
      if (size == kUnknownCardinality) return kUnknownCardinality;
      if (size >= 0 && (least < 0 || size < least)) least = size;
    }
    return least;
  }
  ElementSpec spec() const override {
    ElementSpec all;
    for (const NodePtr& input : inputs_)
      for (ComponentSpec& component : input->spec()) all.push_back(std::move(component));
    return all;
  }
  int64_t batch_size() const override {
    const int64_t size = inputs_[0]->batch_size();
    for (const NodePtr& input : inputs_)
      if (input->batch_size() != size) return -1;
    return size;
  }
  int num_shuffles() const override {
    int most = 0;
    for (const NodePtr& input : inputs_) most = std::max(most, input->num_shuffles());
    return most;
  }
  std::string describe() const override {
    std::string text;
    for (const NodePtr& input : inputs_) text += (text.empty() ? "" : ", ") + input->describe();
    return "zip(" + text + ")";
  }
  std::vector<NodePtr> inputs() const override { return inputs_; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override { return zip_node(inputs); }

 private:
  std::vector<NodePtr> inputs_;
};

/// The rows of `node` where its items are exactly these rows in order; otherwise nullptr.
RowsPtr rows_in_order(const Node& node) {
  return dynamic_cast<const RowsNode*>(&node) ? node.rows() : nullptr;
}

void check_components(const Element& components, std::string_view where) {
  if (components.empty())
    throw InvalidArgument("{}: got no components; want at least one tensor", where);
  for (size_t c = 0; c < components.size(); ++c)
    if (!components[c].defined())
      throw InvalidArgument("{}: got an empty tensor handle as component {}; want a tensor", where,
                            c);
}

}  // namespace

NodePtr tensors_node(Element components) {
  check_components(components, "from_tensors");
  return std::make_shared<TensorsNode>(std::move(components));
}

NodePtr tensor_slices_node(Element components) {
  check_components(components, "from_tensor_slices");
  for (size_t c = 0; c < components.size(); ++c) {
    const Shape& shape = components[c].shape();
    if (shape.rank() == 0)
      throw InvalidArgument("from_tensor_slices: got a scalar as component {}; want rank 1 or more",
                            c);
    if (shape[0] != components[0].shape()[0])
      throw InvalidArgument(
          "from_tensor_slices: got {} rows in component {} (shape {}) and {} in component 0; want "
          "equal numbers",
          shape[0], c, shape, components[0].shape()[0]);
  }
  RowsPtr rows = rows_of_tensors(std::move(components));
  std::string text =
      fmt::format("from_tensor_slices({} x {})", describe_spec(rows->spec()), rows->count);
  return std::make_shared<RowsNode>(std::move(rows), std::move(text));
}

NodePtr range_node(int64_t start, int64_t stop, int64_t step) {
  if (step == 0) throw InvalidArgument("range: got step 0; want another");
  const bool runs = step > 0 ? start < stop : start > stop;
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                     : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = runs ? (distance - 1) / stride + 1 : 0;
  if (count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    throw InvalidArgument("range: got {} to {} by {}; want less than 2^63 numbers", start, stop,
                          step);
  return std::make_shared<RowsNode>(rows_of_range(start, step, static_cast<int64_t>(count)),
                                    fmt::format("range({}, {}, {})", start, stop, step));
}

NodePtr zip_node(const std::vector<NodePtr>& inputs) {
  if (inputs.empty()) throw InvalidArgument("zip: got no datasets; want at least one");
  auto zip = std::make_shared<ZipNode>(inputs);
  std::vector<RowsPtr> parts;
  for (const NodePtr& input : inputs)
    if (RowsPtr rows = rows_in_order(*input)) parts.push_back(std::move(rows));
  if (parts.size() < inputs.size()) return zip;
  return std::make_shared<RowsNode>(zipped(parts), zip->describe());
}

}  // namespace cohort::data
