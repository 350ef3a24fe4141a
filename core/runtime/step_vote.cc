#include "cohort/core/runtime/step_vote.h"

#include <algorithm>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"

namespace cohort {
namespace {

bool differs_by_itself(const Node& node) {
  if (node.op().differs_by_replica) return true;
  if (node.op().source != Source::kVariable) return false;
  const int64_t id = node.attrs().get<std::vector<int64_t>>("variables").front();
  const VariableState& variable = *node.graph().variables()[static_cast<size_t>(id)];
  return variable.options().synchronization == VariableSynchronization::kOnRead;
}

}  // namespace

std::vector<bool> differing_nodes(const Graph& graph) {
  std::vector<bool> differs(graph.nodes().size(), false);
  for (const auto& node : graph.nodes()) {
    const bool from_inputs =
        std::any_of(node->inputs().begin(), node->inputs().end(),
                    [&](const Value& input) { return differs[input.node()->id()]; });
    differs[node->id()] =
        node->op().kind != OpKind::kCollective && (from_inputs || differs_by_itself(*node));
  }
  return differs;
}

const Node* last_before_vote(const Graph& graph, std::span<const Value> fetches) {
  const std::vector<bool> live = live_nodes(graph, fetches), differs = differing_nodes(graph);
  const Node* last = nullptr;
  bool commits = false;
  for (const auto& node : graph.nodes()) {
    if (!live[node->id()]) continue;
    if (node->stage() == Stage::kCommit)
      commits = true;
    else if (differs[node->id()])
      last = node.get();
  }
  return commits ? last : nullptr;
}

bool is_vote(const Node& node) { return node.op().vote == Vote::kCast; }
bool is_veto(const Node& node) { return node.op().vote == Vote::kVeto; }

void add_vote(Graph& graph, int64_t bucket, int voters) {
  Node* mine = graph.add("StepVote", {});
  Node* sum =
      graph.add("AllReduce", {mine->output()},
                {{"reduce_op", static_cast<int64_t>(ops::ReduceOp::kSum)}, {"bucket", bucket}});
  graph.add("StepVeto", {sum->output()},
            {{"voters", int64_t{voters}}, {"variables", std::vector<int64_t>{}}});
}

}  // namespace cohort
