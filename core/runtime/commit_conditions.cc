#include <algorithm>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/commit_condition.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/runtime/passes.h"

// A condition is recorded when what it is made of is known, behind updates that it holds for, too.
// So all updates move to the end, where it is.
namespace cohort {
namespace {

const std::vector<int64_t>& variables_of(const Node& node) {
  return node.attrs().get<std::vector<int64_t>>("variables");
}

/// What a step says about its commits.
class Conditions {
 public:
  explicit Conditions(const Graph& graph) {
    for (const auto& node : graph.nodes()) {
      if (!ops::is_commit_condition(*node)) continue;
      all_.push_back(node->input(0));
      const auto& always = variables_of(*node);
      always_.insert(always_.end(), always.begin(), always.end());
    }
  }

  const std::vector<Value>& all() const { return all_; }
  bool is_written_always(const Node& update) const {
    const auto& written = variables_of(update);
    return std::all_of(written.begin(), written.end(), [&](int64_t id) {
      return std::find(always_.begin(), always_.end(), id) != always_.end();
    });
  }

 private:
  std::vector<Value> all_;
  std::vector<int64_t> always_;
};

}  // namespace

GraphFunction apply_commit_conditions(const Graph& graph, std::span<const Value> fetches) {
  const Conditions conditions(graph);
  std::vector<Value> wanted(fetches.begin(), fetches.end());
  wanted.insert(wanted.end(), conditions.all().begin(), conditions.all().end());
  Rewriter rewriter(graph, wanted);
  const GraphScope scope(rewriter.graph());
  std::vector<const Node*> updates;
  for (const Node* node : rewriter.nodes())
    if (node->op().kind == OpKind::kUpdate)
      updates.push_back(node);
    else
      rewriter.copy(*node);
  Value condition;
  for (const Value& one : conditions.all()) {
    const Value now = rewriter[one];
    condition = condition.defined() ? ops::logical_and(condition, now) : now;
  }
  for (const Node* node : updates) {
    std::vector<Value> inputs = rewriter.mapped_inputs(*node);
    if (!conditions.is_written_always(*node))
      inputs = ops::inputs_where(condition, *node, std::move(inputs));
    rewriter.copy(*node, node->attrs(), std::move(inputs));
  }
  GraphFunction made = rewriter.finish();
  made.fetches.resize(fetches.size());
  return made;
}

}  // namespace cohort
