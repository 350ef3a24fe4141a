#include "cohort/core/runtime/rewrite.h"

#include "cohort/core/graph/op.h"

namespace cohort {
namespace {

using NestedGraph = std::shared_ptr<const Graph>;

}  // namespace

std::vector<Value> results_of(const Graph& nested) {
  std::vector<Value> results;
  if (nested.nodes().empty()) return results;
  Node& last = *nested.nodes().back();
  for (int i = 0; i < last.num_outputs(); ++i) results.push_back(last.output(i));
  return results;
}

bool any_nested_node(const Node& node, const std::function<bool(const Node&)>& holds) {
  for (const auto& [name, attr] : node.attrs().entries())
    if (const auto* nested = std::get_if<NestedGraph>(&attr); nested && any_node(**nested, holds))
      return true;
  return false;
}

bool any_node(const Graph& graph, const std::function<bool(const Node&)>& holds) {
  for (const auto& node : graph.nodes())
    if (holds(*node) || any_nested_node(*node, holds)) return true;
  return false;
}

bool is_pure(const Node& node) {
  const auto has_state = [](const Node& inside) {
    const OpDef& op = inside.op();
    return op.kind == OpKind::kUpdate || (op.stateful && op.kind != OpKind::kSource);
  };
  return !node.op().stateful && node.op().kind != OpKind::kUpdate &&
         !any_nested_node(node, has_state);
}

std::vector<bool> live_nodes(const Graph& graph, std::span<const Value> fetches) {
  std::vector<bool> live(graph.nodes().size(), false);
  for (const Value& fetch : fetches) live[fetch.node()->id()] = true;
  for (const Node* placeholder : graph.placeholders()) live[placeholder->id()] = true;
  for (auto it = graph.nodes().rbegin(); it != graph.nodes().rend(); ++it) {
    const Node& node = **it;
    if (node.stage() == Stage::kCommit) live[node.id()] = true;
    if (!live[node.id()]) continue;
    for (const Value& input : node.inputs()) live[input.node()->id()] = true;
    for (const Node* before : node.control_inputs()) live[before->id()] = true;
  }
  return live;
}

std::vector<std::vector<int>> count_uses(const Graph& graph, std::span<const Value> fetches) {
  const std::vector<bool> live = live_nodes(graph, fetches);
  std::vector<std::vector<int>> uses;
  for (const auto& node : graph.nodes()) uses.emplace_back(node->num_outputs(), 0);
  const auto use = [&](const Value& value) { ++uses[value.node()->id()][value.index()]; };
  for (const auto& node : graph.nodes())
    if (live[node->id()])
      for (const Value& input : node->inputs()) use(input);
  for (const Value& fetch : fetches) use(fetch);
  return uses;
}

Rewriter::Rewriter(const Graph& from, std::span<const Value> fetches, NestedPass nested)
    : nested_(std::move(nested)),
      fetches_(fetches.begin(), fetches.end()),
      to_(std::make_unique<Graph>(from.ops())) {
  const std::vector<bool> live = live_nodes(from, fetches);
  for (const auto& node : from.nodes())
    if (live[node->id()]) live_.push_back(node.get());
  to_->share_variables(from);
}

Value Rewriter::operator[](Value old) const {
  const auto it = mapped_.find(old.node());
  COHORT_CHECK(it != mapped_.end() && it->second[old.index()].defined());
  return it->second[old.index()];
}

std::vector<Value> Rewriter::mapped_inputs(const Node& node) const {
  std::vector<Value> inputs;
  for (const Value& input : node.inputs()) inputs.push_back((*this)[input]);
  return inputs;
}

Node* Rewriter::copy(const Node& node) { return copy(node, node.attrs()); }

Node* Rewriter::copy(const Node& node, Attrs attrs) {
  return copy(node, std::move(attrs), mapped_inputs(node));
}

Node* Rewriter::copy(const Node& node, Attrs attrs, std::vector<Value> inputs) {
  if (nested_) rewrite_nested(node, attrs);
  Node* made = to_->copy_node(node, std::move(inputs), std::move(attrs));
  for (const Node* before : node.control_inputs()) {
    const auto it = mapped_.find(before);
    // A replaced node leaves its value's producer to wait for; one without outputs was copied.
    if (it != mapped_.end() && !it->second.empty()) made->add_control_input(it->second[0].node());
  }
  std::vector<Value>& outputs = mapped_[&node];
  outputs.clear();
  for (int i = 0; i < made->num_outputs(); ++i) outputs.push_back(made->output(i));
  return made;
}

void Rewriter::rewrite_nested(const Node& holder, Attrs& attrs) const {
  for (const auto& [name, old] : holder.attrs().entries()) {
    const auto* nested = std::get_if<NestedGraph>(&old);
    if (!nested) continue;
    GraphFunction made = nested_(holder, **nested, results_of(**nested));
    if (made.graph && made.fetches == results_of(*made.graph))
      attrs.set(name, NestedGraph(std::move(made.graph)));
  }
}

void Rewriter::replace(Value old, Value now) {
  std::vector<Value>& outputs = mapped_[old.node()];
  outputs.resize(static_cast<size_t>(old.node()->num_outputs()));
  outputs[old.index()] = now;
}

GraphFunction Rewriter::finish() {
  std::vector<Value> fetches;
  for (const Value& fetch : fetches_) fetches.push_back((*this)[fetch]);
  return {std::move(to_), std::move(fetches)};
}

}  // namespace cohort
