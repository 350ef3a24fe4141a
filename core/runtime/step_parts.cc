#include "cohort/core/runtime/step_parts.h"

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/collective_plan.h"

namespace cohort {
namespace {

std::vector<bool> after_reduction(const Graph& graph) {
  std::vector<bool> after(graph.nodes().size(), false);
  for (const auto& node : graph.nodes()) {
    bool reached = is_collective(*node);
    for (const Value& input : node->inputs()) reached = reached || after[input.node()->id()];
    after[node->id()] = reached;
  }
  return after;
}

/// Nodes that fetches and commits need when reduced values are given.
std::vector<bool> needed_to_combine(const Graph& graph, std::span<const Value> fetches) {
  std::vector<bool> needed(graph.nodes().size(), false);
  for (const Value& fetch : fetches) needed[fetch.node()->id()] = true;
  for (auto it = graph.nodes().rbegin(); it != graph.nodes().rend(); ++it) {
    const Node& node = **it;
    if (node.stage() == Stage::kCommit) needed[node.id()] = true;
    if (!needed[node.id()] || is_collective(node)) continue;
    if (node.op().source == Source::kInput)
      throw Unimplemented(
          "{}: got an input of each replica that is needed after the reduction; want it reduced "
          "first, "
          "because a device carries several logical replicas",
          node.name());
    for (const Value& input : node.inputs()) needed[input.node()->id()] = true;
  }
  return needed;
}

/// A device that carries several replicas runs them one after the other up to the reduction.
void check_reduced_once(const Node& reduce, const std::vector<bool>& after) {
  for (const Value& input : reduce.inputs())
    if (after[input.node()->id()])
      throw Unimplemented(
          "{}: got a reduction over replicas that needs the result of another, on a device that "
          "carries several logical replicas; want one replica for each device (a synchronized "
          "layer "
          "reduces in the forward pass)",
          reduce.name());
}

void read_bucket(Rewriter& rewriter, const Node& reduce) {
  for (int i = 0; i < reduce.num_outputs(); ++i) {
    const TensorType& type = reduce.output_types()[i];
    Node* read = rewriter.graph().add("ReadBucket", {},
                                      {{"bucket", reduce.attrs().get<int64_t>("bucket")},
                                       {"segment", int64_t{i}},
                                       {"dtype", type.dtype},
                                       {"shape", type.shape}});
    rewriter.replace(Value(const_cast<Node*>(&reduce), i), read->output());
  }
}

}  // namespace

StepParts split_at_reduction(const GraphFunction& function) {
  const Graph& graph = *function.graph;
  const std::vector<bool> after = after_reduction(graph);
  StepParts parts;
  std::vector<Value> local_fetches, combine_fetches;
  for (const Value& fetch : function.fetches) {
    auto& list = after[fetch.node()->id()] ? combine_fetches : local_fetches;
    parts.fetches.push_back({after[fetch.node()->id()], static_cast<int>(list.size())});
    list.push_back(fetch);
  }

  Rewriter all(graph, function.fetches);
  Rewriter local(graph, local_fetches);
  for (const Node* node : all.nodes()) {
    if (is_collective(*node)) {
      check_reduced_once(*node, after);
      local.graph().add("WriteBucket", local.mapped_inputs(*node),
                        {{"bucket", node->attrs().get<int64_t>("bucket")}});
    } else if (!after[node->id()] && node->stage() != Stage::kCommit) {
      local.copy(*node);
    }
  }
  parts.local = local.finish();

  const std::vector<bool> needed = needed_to_combine(graph, combine_fetches);
  Rewriter combine(graph, combine_fetches);
  for (const Node* node : all.nodes()) {
    if (!needed[node->id()]) continue;
    if (is_collective(*node)) {
      read_bucket(combine, *node);
    } else {
      combine.copy(*node);
    }
  }
  parts.combine = combine.finish();
  return parts;
}

}  // namespace cohort
