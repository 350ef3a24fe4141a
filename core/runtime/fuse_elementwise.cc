#include <algorithm>
#include <map>
#include <set>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/ops/fused.h"
#include "cohort/core/runtime/device_for.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort {
namespace {

constexpr std::string_view kFused = "FusedElementwise";
constexpr size_t kMostNodes = 32;
constexpr size_t kMostInputs = 12;

/// Nodes that become one. The sink makes the value that the rest of the graph sees; what the others
/// make is used inside alone. All have the sink's shape.
struct Group {
  const Node* sink = nullptr;
  std::vector<const Node*> nodes;  ///< the sink first
  std::vector<Value> inputs;       ///< what comes from outside, each value once
};

std::vector<Value> inputs_of(const std::vector<const Node*>& nodes) {
  std::vector<Value> inputs;
  for (const Node* node : nodes)
    for (const Value& input : node->inputs())
      if (std::find(nodes.begin(), nodes.end(), input.node()) == nodes.end() &&
          std::find(inputs.begin(), inputs.end(), input) == inputs.end())
        inputs.push_back(input);
  return inputs;
}

class ElementwiseFuser {
 public:
  ElementwiseFuser(Runtime& runtime, Device& device, const Graph& graph,
                   std::span<const Value> fetches, size_t smallest)
      : runtime_(runtime),
        device_(device),
        smallest_(smallest),
        uses_(count_uses(graph, fetches)),
        rewriter_(graph, fetches,
                  [=, &runtime, &device](const Node& holder, const Graph& nested,
                                         std::span<const Value> results) {
                    if (is_fused(holder) || holder.op().kind == OpKind::kUpdate)
                      return GraphFunction();  // the kernel wants the ops themselves
                    return ElementwiseFuser(runtime, device, nested, results, smallest).run();
                  }) {
    for (const Node* node : rewriter_.nodes())
      for (const Node* before : node->control_inputs()) waited_for_.insert(before);
  }

  GraphFunction run() {
    find_groups();
    for (const Node* node : rewriter_.nodes()) {
      if (absorbed_.count(node)) continue;
      const auto it = groups_.find(node);
      if (it == groups_.end()) {
        rewriter_.copy(*node);
      } else {
        emit(it->second);
      }
    }
    return rewriter_.finish();
  }

 private:
  DeviceType device_type(const Node& node) const {
    return device_for(runtime_, node.device(), device_).type();
  }

  static bool is_fused(const Node& node) {
    const OpRegistry& ops = node.graph().ops();
    return ops.has(kFused) && &node.op() == &ops.get(kFused);
  }

  /// As integer division does on zeros, which a block in the middle of others must not.
  static bool can_fail(const Node& node) {
    return node.op().integers_may_fail && is_integer(node.output_types()[0].dtype);
  }

  bool is_fusible(const Node& node) const {
    if (!node.op().elementwise || !node.control_inputs().empty() || can_fail(node)) return false;
    const DeviceType type = device_type(node);
    return runtime_.kernels().has(kFused, type) && runtime_.kernels().has(node.op_name(), type);
  }

  static size_t bytes_between(const Group& group) {
    size_t bytes = 0;
    for (const Node* node : group.nodes) {
      const TensorType& type = node->output_types()[0];
      if (node != group.sink)
        bytes += static_cast<size_t>(type.shape.num_elements()) * size_of(type.dtype);
    }
    return bytes;
  }

  // From the last node on, so that a group grows from its sink towards the inputs.
  void find_groups() {
    const auto& nodes = rewriter_.nodes();
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      const Node* sink = *it;
      if (absorbed_.count(sink) || !is_fusible(*sink)) continue;
      Group group = grow(*sink);
      if (group.nodes.size() < 2 || bytes_between(group) < smallest_) continue;
      for (const Node* node : group.nodes)
        if (node != sink) absorbed_.insert(node);
      groups_[sink] = std::move(group);
    }
  }

  Group grow(const Node& sink) const {
    Group group{&sink, {&sink}, inputs_of({&sink})};
    if (!fits(group)) return group;
    for (bool grown = true; grown;) {
      grown = false;
      for (size_t i = 0; i < group.inputs.size() && !grown; ++i)
        grown = absorb(*group.inputs[i].node(), group);
    }
    return group;
  }

  bool absorb(const Node& maker, Group& group) const {
    const Node& sink = *group.sink;
    const bool candidate = is_fusible(maker) && maker.device() == sink.device() &&
                           maker.output_types()[0].shape == sink.output_types()[0].shape &&
                           !waited_for_.count(&maker) && group.nodes.size() < kMostNodes &&
                           uses_inside(maker, group) == uses_[maker.id()][0];
    if (!candidate) return false;
    Group larger = group;
    larger.nodes.push_back(&maker);
    larger.inputs = inputs_of(larger.nodes);
    if (!fits(larger)) return false;
    group = std::move(larger);
    return true;
  }

  static int uses_inside(const Node& maker, const Group& group) {
    int uses = 0;
    for (const Node* node : group.nodes)
      for (const Value& input : node->inputs()) uses += input.node() == &maker;
    return uses;
  }

  static bool fits(const Group& group) {
    if (group.inputs.size() > kMostInputs) return false;
    std::vector<Shape> shapes;
    for (const Value& input : group.inputs) shapes.push_back(input.shape());
    return ops::plan_fused_walk(group.sink->output_types()[0].shape, shapes).has_value();
  }

  std::shared_ptr<const Graph> make_body(Group& group) {
    auto body = std::make_shared<Graph>(rewriter_.graph().ops());
    std::map<const Node*, Value> mapped;
    std::map<std::pair<const Node*, int>, Value> from_outside;
    for (const Value& input : group.inputs)
      from_outside[{input.node(), input.index()}] =
          body->placeholder("input", rewriter_[input].type());
    std::sort(group.nodes.begin(), group.nodes.end(),
              [](const Node* a, const Node* b) { return a->id() < b->id(); });
    for (const Node* node : group.nodes) {
      std::vector<Value> inputs;
      for (const Value& input : node->inputs()) {
        const auto it = mapped.find(input.node());
        inputs.push_back(it != mapped.end() ? it->second
                                            : from_outside.at({input.node(), input.index()}));
      }
      mapped[node] = body->copy_node(*node, std::move(inputs), node->attrs())->output();
    }
    return body;
  }

  void emit(Group& group) {
    std::vector<Value> inputs;
    for (const Value& input : group.inputs) inputs.push_back(rewriter_[input]);
    const std::shared_ptr<const Graph> body = make_body(group);
    const Node& sink = *group.sink;
    Node* fused = rewriter_.graph().add_like(sink, kFused, std::move(inputs), {{"body", body}});
    rewriter_.replace(Value(const_cast<Node*>(&sink), 0), fused->output());
  }

  Runtime& runtime_;
  Device& device_;
  size_t smallest_;
  std::vector<std::vector<int>> uses_;
  Rewriter rewriter_;
  std::set<const Node*> waited_for_;
  std::set<const Node*> absorbed_;
  std::map<const Node*, Group> groups_;
};

}  // namespace

GraphFunction fuse_elementwise(Runtime& runtime, Device& device, const GraphFunction& function,
                               size_t smallest_bytes) {
  return ElementwiseFuser(runtime, device, *function.graph, function.fetches, smallest_bytes).run();
}

}  // namespace cohort
