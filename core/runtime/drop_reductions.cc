#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/passes.h"

namespace cohort {

GraphFunction drop_reductions(const Graph& graph, std::span<const Value> fetches) {
  Rewriter rewriter(graph, fetches, [](const Node&, const Graph& nested, auto results) {
    return drop_reductions(nested, results);
  });
  for (const Node* node : rewriter.nodes()) {
    if (node->op().kind != OpKind::kCollective) {
      rewriter.copy(*node);
      continue;
    }
    for (int i = 0; i < node->num_outputs(); ++i)
      rewriter.replace(Value(const_cast<Node*>(node), i), rewriter[node->input(i)]);
  }
  return rewriter.finish();
}

}  // namespace cohort
