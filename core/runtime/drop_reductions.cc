#include "cohort/core/runtime/passes.h"

namespace cohort {
namespace {

bool is_over_replicas(const Node& node) {
  const std::string& op = node.op_name();
  return op == "CrossReplica" || op == "ReplicaShare" || op == "AllReduce" || op == "AllGather";
}

}  // namespace

GraphFunction drop_reductions(const Graph& graph, std::span<const Value> fetches) {
  Rewriter rewriter(graph, fetches);
  for (const Node* node : rewriter.nodes()) {
    if (!is_over_replicas(*node)) {
      rewriter.copy(*node);
      continue;
    }
    for (int i = 0; i < node->num_outputs(); ++i)
      rewriter.replace(Value(const_cast<Node*>(node), i), rewriter[node->input(i)]);
  }
  return rewriter.finish();
}

}  // namespace cohort
