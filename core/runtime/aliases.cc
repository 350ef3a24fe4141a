#include "cohort/core/runtime/aliases.h"

#include <algorithm>
#include <map>
#include <set>

#include "cohort/core/graph/op.h"

namespace cohort {
namespace {

bool is_source(const Node& node) { return node.op().kind == OpKind::kSource; }

/// Which commit nodes write each variable.
std::map<int64_t, std::set<const Node*>> writers(const Graph& graph) {
  std::map<int64_t, std::set<const Node*>> writers;
  for (const Node* commit : graph.commit_nodes())
    if (const Attr* ids = commit->attrs().find("variables"))
      for (const int64_t id : std::get<std::vector<int64_t>>(*ids)) writers[id].insert(commit);
  return writers;
}

struct CopyRules {
  std::map<int64_t, std::set<const Node*>> writers;
  std::map<const Node*, int>
      uses_of_root;  ///< by the root's node; outputs of one node count together
  /// Of a node that takes over memory from another: the last of what makes the other's inputs.
  std::map<const Node*, int> earliest;

  bool wanted(const Node& user, Value input) const {
    const Value root = root_of(input);
    if (user.op().in_place)
      return is_source(*root.node()) || root.node()->op().in_place ||
             uses_of_root.at(root.node()) > 1 || !(root.node()->device() == user.device()) ||
             comes_too_early(user, *root.node());
    if (user.stage() != Stage::kCommit || root.node()->op().source != Source::kVariable)
      return false;
    const int64_t id = root.node()->attrs().get<std::vector<int64_t>>("variables").front();
    const auto it = writers.find(id);
    return it != writers.end() && (it->second.size() > 1 || !it->second.count(&user));
  }

 private:
  bool comes_too_early(const Node& user, const Node& maker) const {
    const auto known = earliest.find(&user);
    return known != earliest.end() && maker.id() <= known->second;
  }
};

/// Passes may have moved what plan_collectives() saw in order.
void note_order(const Graph& graph, CopyRules& rules) {
  std::map<int64_t, const Node*> by_group;
  for (const auto& node : graph.nodes()) {
    if (!node->attrs().has("behind")) continue;
    by_group[node->attrs().get<int64_t>("group")] = node.get();
    const auto known = by_group.find(node->attrs().get<int64_t>("behind"));
    if (known == by_group.end()) continue;
    const Node& before = *known->second;
    int& last = rules.earliest[node.get()];
    for (const Value& input : before.inputs())
      last =
          std::max(last, rules.wanted(before, input) ? before.id() : root_of(input).node()->id());
  }
}

CopyRules make_rules(const GraphFunction& function) {
  CopyRules rules{writers(*function.graph), {}};
  for (const auto& node : function.graph->nodes()) {
    if (is_alias(*node)) continue;
    for (const Value& input : node->inputs()) ++rules.uses_of_root[root_of(input).node()];
  }
  for (const Value& fetch : function.fetches) ++rules.uses_of_root[root_of(fetch).node()];
  note_order(*function.graph, rules);
  return rules;
}

Value copy_on(const DeviceName& device, Value value, Graph& graph) {
  Node* copy = graph.add("Copy", {value});
  copy->set_device(device);
  copy->set_stage(value.node()->stage());
  return copy->output();
}

}  // namespace

bool is_alias(const Node& node) { return node.op().kind == OpKind::kAlias; }

Value root_of(Value value) {
  while (is_alias(*value.node())) value = value.node()->input(0);
  return value;
}

GraphFunction insert_copies(const GraphFunction& function) {
  const CopyRules rules = make_rules(function);
  Rewriter rewriter(*function.graph, function.fetches);
  for (const Node* node : rewriter.nodes()) {
    std::vector<Value> inputs = rewriter.mapped_inputs(*node);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!rules.wanted(*node, node->inputs()[i])) continue;
      // What is worked on in place lies where that is done.
      const DeviceName device = node->op().in_place ? node->device() : inputs[i].node()->device();
      inputs[i] = copy_on(device, inputs[i], rewriter.graph());
    }
    rewriter.copy(*node, node->attrs(), std::move(inputs));
  }
  GraphFunction result = rewriter.finish();
  for (Value& fetch : result.fetches)
    if (const Node& source = *root_of(fetch).node(); is_source(source))
      fetch = copy_on(source.device(), fetch, *result.graph);
  return result;
}

}  // namespace cohort
