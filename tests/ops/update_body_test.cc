// The bodies of updates: what may stand in them.
#include "cohort/core/ops/update_body.h"

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

class UpdateBodyTest : public testing::OpTest {
 protected:
  ops::UpdateBody body(size_t slots = 1, DType dtype = DType::kF32) {
    return ops::UpdateBody("mine", dtype, slots, graph_.ops());
  }
  static std::shared_ptr<VariableState> variable(const std::string& name, Shape shape) {
    return std::make_shared<VariableState>(Tensor(DType::kF32, std::move(shape)),
                                           VariableOptions{.name = name});
  }
  Value yes() { return graph_.placeholder("apply", {DType::kBool, {}}); }
  Value rate() { return graph_.placeholder("rate", {DType::kF64, {}}); }
};

TEST_F(UpdateBodyTest, AnUpdateListsVariablesThenSlotsAndTakesGradientsNumbersAndApply) {
  ops::UpdateBody b = body();
  b.decay(rate());
  b.slots[0] = b.slots[0] + b.gradient;
  b.parameter = b.parameter - b.number(rate()) * b.slots[0];
  const ops::Variables p{variable("p0", {2, 3}), variable("p1", {4})};
  const ops::Variables m{variable("m0", {2, 3}), variable("m1", {4})};
  const Node* node = ops::elementwise_update(
      b, p, {m}, std::vector<Value>{input({2, 3}), input({4})}, yes(), {0.1, 0});
  EXPECT_EQ(node->inputs().size(), 4u);
  EXPECT_EQ(node->input(2).shape(), (Shape{2}));  // the rate of the decay, and the rate
  EXPECT_EQ(node->stage(), Stage::kCommit);
  EXPECT_TRUE(node->op().by_element);
  EXPECT_EQ(node->attrs().get<std::vector<int64_t>>("variables").size(), 4u);
}

TEST_F(UpdateBodyTest, OpsOfMoreThanOneElementAreRefused) {
  ops::UpdateBody b = body();
  b.parameter = b.parameter - ops::reduce_sum(b.gradient);
  expect_invalid({"mine", "ReduceSum", "elementwise"}, [&] { b.finish(); });
}

TEST_F(UpdateBodyTest, WhatBecomesOfAnElementIsOfItsTypeAndDependsOnIt) {
  {
    ops::UpdateBody b = body();
    b.parameter = ops::cast(b.parameter, DType::kF64);
    expect_invalid({"mine", "float64", "parameter", "float32"}, [&] { b.finish(); });
  }
  {
    ops::UpdateBody b = body();
    b.slots[0] = b.number(rate());
    expect_invalid({"mine", "slot 0", "function of the element"}, [&] { b.finish(); });
  }
  {
    ops::UpdateBody b = body();
    b.parameter = input({});
    expect_invalid({"mine", "another graph", "number()"}, [&] { b.finish(); });
  }
}

TEST_F(UpdateBodyTest, NumbersAreScalarsOfDoublePrecision) {
  ops::UpdateBody b = body();
  expect_invalid({"mine", "float32 []", "float64 []"}, [&] { b.number(input({})); });
  expect_invalid({"mine", "float32 [2]", "float64 []"}, [&] { b.number(input({2})); });
}

TEST_F(UpdateBodyTest, StatesOfAnotherDtypeOrShapeAreRefusedByName) {
  expect_invalid({"mine", "int32"}, [&] { body(0, DType::kI32); });
  const ops::UpdateBody b = body();
  const std::vector<Value> g{input({3})};
  const ops::Variables p{variable("dense/kernel", {3})};
  expect_invalid({"mine", "slots", "dense/kernel", "0"},
                 [&] { ops::elementwise_update(b, p, {}, g, yes()); });
  expect_invalid({"mine", "wrong/slot", "dense/kernel"},
                 [&] { ops::elementwise_update(b, p, {{variable("wrong/slot", {4})}}, g, yes()); });
  expect_invalid({"mine", "1 weight decays", "none"}, [&] {
    ops::elementwise_update(b, p, {{variable("slot", {3})}}, g, yes(), {0.1});
  });
}

}  // namespace
}  // namespace cohort
