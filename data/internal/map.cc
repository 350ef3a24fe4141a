#include <mutex>

#include "cohort/data/internal/batch.h"
#include "cohort/data/internal/convert.h"
#include "cohort/data/internal/map_flow.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/internal/rows.h"

namespace cohort::data {
namespace {

class MapNode : public Node, public std::enable_shared_from_this<MapNode> {
 public:
  MapNode(NodePtr input, MapFunction function, MapOptions options, std::string name)
      : input_(std::move(input)),
        function_(std::move(function)),
        options_(std::move(options)),
        name_(std::move(name)) {}

  FlowPtr<Element> elements(const Pass& pass) const override {
    return selected_elements(pass, ItemPattern());
  }
  FlowPtr<Element> selected_elements(const Pass& pass, const ItemPattern& pattern) const override {
    FlowPtr<Element> input = input_->selected_elements(pass, pattern);
    if (options_.num_parallel_calls == 1)
      return std::make_unique<MapFlow>(std::move(input), function_, pattern);
    return std::make_unique<ParallelMapFlow>(std::move(input), function_,
                                             options_.num_parallel_calls, pattern);
  }
  int64_t cardinality() const override { return input_->cardinality(); }
  ElementSpec spec() const override {
    if (options_.element_spec) return *options_.element_spec;
    if (original_) return original_->spec();
    const std::lock_guard lock(mutex_);
    if (!found_spec_) found_spec_ = find_spec();
    return *found_spec_;
  }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override { return input_->describe() + name_; }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    auto copy = std::make_shared<MapNode>(std::move(inputs[0]), function_, options_, name_);
    copy->original_ = shared_from_this();
    return copy;
  }

 private:
  /// The function's result on the first element. A leading dimension that varies in the input, and
  /// that the result shares with it, varies in the result.
  ElementSpec find_spec() const {
    Element first;
    if (input_->elements({})->next({&first, 1}) == 0)
      throw FailedPrecondition(
          "element_spec: got a map over a dataset without elements; want MapOptions.element_spec");
    const ElementSpec input_spec = input_->spec();
    int64_t varying = -1;
    for (size_t c = 0; c < first.size() && c < input_spec.size(); ++c) {
      const Shape& shape = input_spec[c].shape;
      if (shape.rank() > 0 && shape[0] == batch_dim()) varying = first[c].size(0);
    }
    ElementSpec spec;
    for (const Tensor& tensor : call_map(function_, first, 0)) {
      Shape shape = tensor.shape();
      if (shape.rank() > 0 && varying >= 0 && shape[0] == varying) shape[0] = batch_dim();
      spec.push_back({tensor.dtype(), std::move(shape)});
    }
    return spec;
  }

  NodePtr input_;
  MapFunction function_;
  MapOptions options_;
  std::string name_;
  NodePtr original_;  ///< gives the spec to a copy over a part of the input, which may be empty
  mutable std::mutex mutex_;
  mutable std::optional<ElementSpec> found_spec_;
};

/// Converts one component of elements that come from elsewhere than memory.
class CastFlow : public ElementFlow {
 public:
  CastFlow(FlowPtr<Element> input, size_t component, DType dtype, double scale)
      : input_(std::move(input)), component_(component), dtype_(dtype), scale_(scale) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      Element& element = out[filled];
      if (component_ < element.size()) std::swap(element[component_], spare_);
      if (input_->next({&element, 1}) == 0) return static_cast<int64_t>(filled);
      const Tensor source = element[component_].contiguous();
      prepare(spare_, dtype_, source.shape());
      convert(source.dtype(), source.raw(), dtype_, spare_.raw(), source.num_elements(), scale_);
      std::swap(element[component_], spare_);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override { return input_->skip(count); }

 private:
  FlowPtr<Element> input_;
  size_t component_;
  DType dtype_;
  double scale_;
  Tensor spare_;  ///< memory of the input's tensor and of the result, in turn
};

/// With rows, the conversion happens during the gather.
class CastNode : public Node {
 public:
  CastNode(NodePtr input, int component, DType dtype, double scale)
      : input_(std::move(input)), component_(component), dtype_(dtype), scale_(scale) {
    const RowsPtr rows = input_->rows();
    if (!rows) return;
    const Column& column = rows->columns[static_cast<size_t>(component)];
    if (column.stored == column.dtype && column.scale == 1.0)
      rows_ = with_cast(*rows, component, dtype, scale);
  }

  FlowPtr<Element> elements(const Pass& pass) const override {
    if (rows_) return elements_of_rows(rows_, input_->row_numbers(pass));
    return std::make_unique<CastFlow>(input_->elements(pass), static_cast<size_t>(component_),
                                      dtype_, scale_);
  }
  RowsPtr rows() const override { return rows_; }
  FlowPtr<int64_t> row_numbers(const Pass& pass) const override {
    return input_->row_numbers(pass);
  }
  int64_t cardinality() const override { return input_->cardinality(); }
  ElementSpec spec() const override {
    ElementSpec spec = input_->spec();
    spec[static_cast<size_t>(component_)].dtype = dtype_;
    return spec;
  }
  int64_t batch_size() const override { return input_->batch_size(); }
  int num_shuffles() const override { return input_->num_shuffles(); }
  std::string describe() const override {
    return fmt::format("{}.cast({}, {}, {})", input_->describe(), component_, dtype_, scale_);
  }
  std::vector<NodePtr> inputs() const override { return {input_}; }
  NodePtr with_inputs(std::vector<NodePtr> inputs) const override {
    return cast_node(std::move(inputs[0]), component_, dtype_, scale_);
  }

 private:
  NodePtr input_;
  int component_;
  DType dtype_;
  double scale_;
  RowsPtr rows_;
};

}  // namespace

NodePtr map_node(NodePtr input, MapFunction function, MapOptions options, std::string name) {
  if (!function) throw InvalidArgument("map: got an empty function; want one");
  if (options.num_parallel_calls < 1)
    throw InvalidArgument("map: got {} parallel calls; want 1 or more", options.num_parallel_calls);
  return std::make_shared<MapNode>(std::move(input), std::move(function), std::move(options),
                                   std::move(name));
}

NodePtr cast_node(NodePtr input, int component, DType dtype, double scale) {
  const int num_components = static_cast<int>(input->spec().size());
  if (component < 0 || component >= num_components)
    throw InvalidArgument("cast: got component {} of {}; want 0 to {}", component, num_components,
                          num_components - 1);
  if (scale != 1.0 && !is_floating(dtype))
    throw InvalidArgument("cast: got scale {} with {}; want a floating dtype", scale, dtype);
  if (const auto prefetch = prefetch_parts(*input))
    return prefetch_node(cast_node(prefetch->input, component, dtype, scale),
                         prefetch->buffer_size);
  // Before the batch instead, where that makes it a part of the gather.
  const BatchParts* batch = batch_parts(*input);
  if (batch && batch->input->rows()) {
    BatchParts parts = *batch;
    parts.input = std::make_shared<CastNode>(parts.input, component, dtype, scale);
    if (parts.input->rows())
      return make_batch(
          std::move(parts), input,
          [component, dtype, scale](NodePtr other) {
            return cast_node(std::move(other), component, dtype, scale);
          },
          fmt::format("{}.cast({}, {}, {})", input->describe(), component, dtype, scale));
  }
  return std::make_shared<CastNode>(std::move(input), component, dtype, scale);
}

}  // namespace cohort::data
