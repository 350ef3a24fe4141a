#include "cohort/core/runtime/aliases.h"

#include <map>
#include <set>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/collective_plan.h"

namespace cohort {
namespace {

bool is_source(const Node& node) {
  const std::string& op = node.op_name();
  return op == "Placeholder" || op == "ReadVariable" || op == "Constant" || op == "ReadBucket";
}

bool reduces_in_place(const Node& node) {
  return is_collective(node) || node.op_name() == "AllReduce" || node.op_name() == "WriteBucket";
}

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

  bool wanted(const Node& user, Value input) const {
    const Value root = root_of(input);
    if (reduces_in_place(user))
      return is_source(*root.node()) || reduces_in_place(*root.node()) ||
             uses_of_root.at(root.node()) > 1 || !(root.node()->device() == user.device());
    if (!user.op().commit || root.node()->op_name() != "ReadVariable") return false;
    const int64_t id = root.node()->attrs().get<std::vector<int64_t>>("variables").front();
    const auto it = writers.find(id);
    return it != writers.end() && (it->second.size() > 1 || !it->second.count(&user));
  }
};

CopyRules make_rules(const GraphFunction& function) {
  CopyRules rules{writers(*function.graph), {}};
  for (const auto& node : function.graph->nodes()) {
    if (is_alias(*node)) continue;
    for (const Value& input : node->inputs()) ++rules.uses_of_root[root_of(input).node()];
  }
  for (const Value& fetch : function.fetches) ++rules.uses_of_root[root_of(fetch).node()];
  return rules;
}

}  // namespace

bool is_alias(const Node& node) {
  const std::string& op = node.op_name();
  return op == "Reshape" || op == "Identity" || op == "StopGradient";
}

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
      // What is reduced in place lies where the reduction is.
      const DeviceName device =
          reduces_in_place(*node) ? node->device() : inputs[i].node()->device();
      inputs[i] = rewriter.graph().add("Copy", {inputs[i]})->output();
      inputs[i].node()->set_device(device);
    }
    rewriter.copy(*node, node->attrs(), std::move(inputs));
  }
  GraphFunction result = rewriter.finish();
  for (Value& fetch : result.fetches)
    if (const Node& source = *root_of(fetch).node(); is_source(source)) {
      fetch = result.graph->add("Copy", {fetch})->output();
      fetch.node()->set_device(source.device());
    }
  return result;
}

}  // namespace cohort
