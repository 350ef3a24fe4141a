#include "cohort/core/graph/op.h"

#include "cohort/core/ops/math.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;

std::vector<TensorType> nothing(const InferContext&) { return {}; }

class OpTraitsTest : public testing::OpTest {
 protected:
  void expect_refused(OpDef op, const std::string& why) {
    op.name = "Mine";
    op.infer = nothing;
    expect_error(Code::kInvalidArgument, {"op registry: got op Mine", why},
                 [&] { registry_.add(op); });
    EXPECT_FALSE(registry_.has("Mine"));
  }
};

TEST_F(OpTraitsTest, TraitsThatContradictEachOtherAreRefused) {
  expect_refused({.source = Source::kConstant}, "with a source; want it of a kSource");
  expect_refused({.num_inputs = 0, .kind = OpKind::kSource}, "without a source");
  expect_refused({.num_inputs = 1, .kind = OpKind::kSource, .source = Source::kConstant},
                 "a source, of 1 inputs");
  expect_refused({.kind = OpKind::kCollective}, "without an exchange");
  expect_refused({.exchange = Exchange::kGather}, "with an exchange");
  expect_refused({.kind = OpKind::kAlias, .elementwise = true}, "elementwise");
  expect_refused({.group_inputs = 3}, "of a group");
  expect_refused({.num_inputs = 1, .neutral_right = 0}, "neutral operand");
}

TEST_F(OpTraitsTest, UpdatesAreOfTheCommitStageWhereverTheyAreRecorded) {
  registry_.add({.name = "Mine", .infer = nothing, .kind = OpKind::kUpdate});
  const StageScope scope(Stage::kBackward);
  const Value y = ops::neg(input({2}));
  EXPECT_EQ(y.node()->stage(), Stage::kBackward);
  Node* update = graph_.add("Mine", {y});
  EXPECT_EQ(update->stage(), Stage::kCommit);
  EXPECT_EQ(graph_.commit_nodes(), std::vector<Node*>{update});
}

TEST_F(OpTraitsTest, GradientsAreOfTheBackwardStageAndNothingElseIs) {
  const Value x = input({2, 2}), y = ops::square(x);
  const NameScope scope("gradients");
  const Value scaled = y * 2.0;
  const Value dx = gradients(scaled, std::vector<Value>{x})[0].dense();
  const Value clipped = dx * 0.5;
  EXPECT_EQ(scaled.node()->stage(), Stage::kForward);
  EXPECT_EQ(dx.node()->stage(), Stage::kBackward);
  EXPECT_EQ(clipped.node()->stage(), Stage::kForward);
  EXPECT_EQ(current_stage_scope(), Stage::kForward);
}

}  // namespace
}  // namespace cohort
