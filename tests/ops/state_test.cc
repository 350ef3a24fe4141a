#include "cohort/core/ops/state.h"

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/update.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

std::shared_ptr<VariableState> variable(std::string name, Shape shape, DType dtype = DType::kF32) {
  return std::make_shared<VariableState>(Tensor(dtype, std::move(shape)),
                                         VariableOptions{.name = std::move(name)});
}

class StateOpTest : public testing::OpTest {
 protected:
  Value learning_rate() { return input({}); }
  Value step() { return input({}, DType::kI64); }
  Value apply() { return input({}, DType::kBool); }
};

TEST_F(StateOpTest, AVariableIsReadOnceForEachGraph) {
  const auto v = variable("kernel", {2, 3});
  EXPECT_EQ(graph_.read(v), graph_.read(v));
  EXPECT_EQ(graph_.read(v).type(), (TensorType{DType::kF32, {2, 3}}));
}

TEST_F(StateOpTest, AssignsAreCommits) {
  const auto v = variable("kernel", {2});
  Node* node = ops::assign_add(v, input({2}));
  EXPECT_EQ(node->num_outputs(), 0);
  EXPECT_EQ(graph_.commit_nodes(), std::vector<Node*>{node});
  EXPECT_EQ(node->attrs().get<std::vector<int64_t>>("variables"), std::vector<int64_t>{0});
}

TEST_F(StateOpTest, AssignNamesTheVariableThatDoesNotFit) {
  const auto v = variable("dense/kernel", {2});
  expect_invalid({"assign: got a value of float32 [3] for variable dense/kernel; want float32 [2]"},
                 [&] { ops::assign(v, input({3})); });
  expect_invalid({"assign_sub: got a value of float64"},
                 [&] { ops::assign_sub(v, input({2}, DType::kF64)); });
}

TEST_F(StateOpTest, StepInfoIsANumber) {
  EXPECT_EQ(ops::step_info(ops::StepField::kRows).type(), (TensorType{DType::kI64, {}}));
}

TEST_F(StateOpTest, AllFiniteTakesAnyFloats) {
  const std::vector<Value> values{input({N}), input({3, 3}, DType::kF64)};
  EXPECT_EQ(ops::all_finite(values).type(), (TensorType{DType::kBool, {}}));
  expect_invalid({"all_finite: got int32"},
                 [&] { ops::all_finite(std::vector<Value>{input({2}, DType::kI32)}); });
}

TEST_F(StateOpTest, UpdatesListVariablesThenSlots) {
  const ops::Variables p{variable("a", {2}), variable("b", {3})};
  const ops::Variables m{variable("ma", {2}), variable("mb", {3})};
  const ops::Variables v{variable("va", {2}), variable("vb", {3})};
  const std::vector<Value> g{input({2}), input({3})};
  Node* adam = ops::adam_update(p, m, v, {}, g, learning_rate(), step(), apply(), {});
  EXPECT_EQ(adam->attrs().get<std::vector<int64_t>>("variables"),
            (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  Node* sgd = ops::sgd_update(p, {}, g, learning_rate(), step(), apply(), {});
  EXPECT_EQ(sgd->attrs().get<std::vector<int64_t>>("variables"), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(sgd->inputs().size(), 5u);
}

TEST_F(StateOpTest, UpdatesRefuseWhatDoesNotFit) {
  const ops::Variables p{variable("dense/kernel", {2})}, m{variable("m", {2})};
  const std::vector<Value> g{input({2})}, wrong{input({3})};
  expect_invalid({"sgd_update: got a gradient of float32 [3] for variable dense/kernel"},
                 [&] { ops::sgd_update(p, {}, wrong, learning_rate(), step(), apply(), {}); });
  expect_invalid({"sgd_update: got 0 slots momentum for 1 variables; want 1"}, [&] {
    ops::sgd_update(p, {}, g, learning_rate(), step(), apply(), {.momentum = 0.9});
  });
  expect_invalid({"adam_update: got 1 slots v_max"},
                 [&] { ops::adam_update(p, m, m, m, g, learning_rate(), step(), apply(), {}); });
  expect_invalid({"sgd_update: got learning_rate of float64 []; want a scalar of float32"},
                 [&] { ops::sgd_update(p, {}, g, input({}, DType::kF64), step(), apply(), {}); });
  expect_invalid({"2 weight decays for 1 variables"}, [&] {
    ops::sgd_update(p, {}, g, learning_rate(), step(), apply(), {.weight_decay = {0, 0}});
  });
  const ops::Variables mixed{variable("a", {2}), variable("b", {2}, DType::kF64)};
  expect_invalid({"want one dtype"}, [&] {
    const std::vector<Value> both{input({2}), input({2}, DType::kF64)};
    ops::sgd_update(mixed, {}, both, learning_rate(), step(), apply(), {});
  });
}

TEST_F(StateOpTest, UpdatesOfRowsTakeSlicesOfTheirVariable) {
  const auto table = variable("table", {100, 8}), slot = variable("slot", {100, 7});
  const Slices slices{input({N}, DType::kI32), input({N, 8}), Shape{100, 8}};
  const Value indices = slices.indices;
  const auto record = [&](const Slices& gradient, const ops::Variables& slots) {
    ops::UpdateBody body("own", DType::kF32, slots.size(), indices.graph().ops());
    body.parameter = body.parameter - body.gradient;
    for (Value& of_body : body.slots) of_body = of_body + body.gradient;
    return ops::rows_update(body, table, slots, gradient, apply(), ops::OtherRows::kStay);
  };
  const Node* node = record(slices, {});
  EXPECT_EQ(node->stage(), Stage::kCommit);
  EXPECT_EQ(node->input(0).node()->op_name(), "CombineSlices");
  expect_invalid({"own: got slices of float32 [99, 8] for variable table"}, [&] {
    record({indices, input({N, 8}), Shape{99, 8}}, {});
  });
  expect_invalid({"own: got slot slot of float32 [100, 7] for variable table"},
                 [&] { record(slices, {slot}); });
}

TEST_F(StateOpTest, AllReduceKeepsTypes) {
  const std::vector<Value> values{input({N, 3}), input({}, DType::kI64), input({2})};
  const auto sums = ops::all_reduce(values, ops::ReduceOp::kSum);
  ASSERT_EQ(sums.size(), 3u);
  EXPECT_EQ(sums[1].type(), values[1].type());
  expect_invalid({"all_reduce: a mean: got int64 []; want a floating dtype"},
                 [&] { ops::all_reduce(values[1], ops::ReduceOp::kMean); });
  expect_error(Code::kUnimplemented, {"AllReduce", "has no gradient"},
               [&] { gradient(ops::all_reduce(values[0], ops::ReduceOp::kSum), values[0]); });
}

TEST_F(StateOpTest, AllGatherGrowsOneAxis) {
  EXPECT_EQ(ops::all_gather(input({N, 3}), 0).shape()[0].symbol(), "global_N");
  EXPECT_EQ(ops::all_gather(input({4, 3}), 1).shape()[1].symbol(), "3*num_replicas");
  expect_invalid({"all_gather: got axis 1 of [2, T]"}, [&] { ops::all_gather(input({2, T}), 1); });
}

}  // namespace
}  // namespace cohort
