#include "cohort/core/ops/commit_condition.h"

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/passes.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

class CommitConditionTest : public testing::OpTest {
 protected:
  static std::shared_ptr<VariableState> variable(std::string name) {
    return std::make_shared<VariableState>(Tensor(DType::kF32, Shape{2}),
                                           VariableOptions{.name = std::move(name)});
  }
};

TEST_F(CommitConditionTest, HoldsForUpdatesBeforeAndBehindIt) {
  const auto v = variable("v"), w = variable("w"), scale = variable("scale");
  const Value x = input({2}), condition = input({}, DType::kBool);
  ops::assign_add(v, x);
  ops::commit_if(condition, {scale});
  ops::assign(w, x);
  ops::assign(scale, x);
  const GraphFunction made = apply_commit_conditions(graph_, {});
  const std::vector<Node*> commits = made.graph->commit_nodes();
  ASSERT_EQ(commits.size(), 3u);
  EXPECT_EQ(commits[0]->input(0).node()->op_name(), "Select");
  EXPECT_EQ(commits[1]->input(0).node()->op_name(), "Select");
  EXPECT_EQ(commits[1]->input(0).node()->input(2), made.graph->read(w)) << "else what it was";
  EXPECT_EQ(commits[2]->input(0), made.graph->placeholders()[0]->output()) << "written always";
  for (const auto& node : made.graph->nodes()) EXPECT_FALSE(ops::is_commit_condition(*node));
}

TEST_F(CommitConditionTest, SeveralHoldTogether) {
  const auto v = variable("v");
  const Value a = input({}, DType::kBool), b = input({}, DType::kBool);
  ops::commit_if(a, {});
  ops::assign(v, input({2}));
  ops::commit_if(b, {});
  const GraphFunction made = apply_commit_conditions(graph_, {});
  const Node& condition = *made.graph->commit_nodes().at(0)->input(0).node()->input(0).node();
  EXPECT_EQ(condition.op_name(), "LogicalAnd");
}

TEST_F(CommitConditionTest, WantsABoolAndUpdatesThatItKnows) {
  expect_invalid({"commit_if", "float32"}, [&] { ops::commit_if(input({}), {}); });
  registry_.add({.name = "OwnUpdate",
                 .infer = [](const InferContext&) { return std::vector<TensorType>(); },
                 .kind = OpKind::kUpdate});
  graph_.add("OwnUpdate", {input({2})}, {{"variables", std::vector<int64_t>{0}}});
  ops::commit_if(input({}, DType::kBool), {});
  expect_invalid({"OwnUpdate", "may be skipped", "\"apply\""},
                 [&] { apply_commit_conditions(graph_, {}); });
}

}  // namespace
}  // namespace cohort
