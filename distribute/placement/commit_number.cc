#include "cohort/distribute/placement/commit_number.h"

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/rewrite.h"
#include "cohort/distribute/placement/lowering.h"

namespace cohort::distribute {
namespace {

/// Where the variable that `commit` writes first is written: a step that runs elsewhere altogether
/// has nothing to do on the strategy's device.
DeviceName device_of(const Node& commit) {
  const Attr* written = commit.attrs().find("variables");
  const auto& ids = written ? std::get<std::vector<int64_t>>(*written) : std::vector<int64_t>();
  for (const auto& node : commit.graph().nodes())
    if (!ids.empty() && node->op().source == Source::kVariable &&
        node->attrs().get<std::vector<int64_t>>("variables").front() == ids.front())
      return node->device();
  return commit.device();
}

}  // namespace

Trace count_commits(const Trace& placed, const std::shared_ptr<VariableState>& number) {
  const std::vector<Node*> commits = placed.graph->commit_nodes();
  if (commits.empty()) return placed;
  Rewriter rewriter(*placed.graph, placed.outputs);
  for (const Node* node : rewriter.nodes()) rewriter.copy(*node);
  const GraphScope graph_scope(rewriter.graph());
  const Value one = ops::scalar(1, DType::kI64);
  for (Node* node : {one.node(), ops::assign_add(number, one)})
    node->set_device(device_of(*commits.front()));
  return with_function(placed, rewriter.finish());
}

}  // namespace cohort::distribute
