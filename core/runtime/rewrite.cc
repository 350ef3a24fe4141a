#include "cohort/core/runtime/rewrite.h"

#include "cohort/core/graph/op.h"

namespace cohort {

std::vector<bool> live_nodes(const Graph& graph, std::span<const Value> fetches) {
  std::vector<bool> live(graph.nodes().size(), false);
  for (const Value& fetch : fetches) live[fetch.node()->id()] = true;
  for (const Node* placeholder : graph.placeholders()) live[placeholder->id()] = true;
  for (auto it = graph.nodes().rbegin(); it != graph.nodes().rend(); ++it) {
    const Node& node = **it;
    if (node.op().commit) live[node.id()] = true;
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

Rewriter::Rewriter(const Graph& from, std::span<const Value> fetches)
    : from_(from),
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
