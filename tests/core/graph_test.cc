#include "cohort/core/graph/graph.h"

#include <thread>

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using testing::expect_invalid;

class GraphTest : public testing::OpTest {};

TEST_F(GraphTest, NamesAreUniqueWithinScopes) {
  NameScope outer("model");
  const Value a = ops::neg(input({})), b = ops::neg(a);
  EXPECT_EQ(a.node()->name(), "model/Neg");
  EXPECT_EQ(b.node()->name(), "model/Neg_1");
  NameScope inner("dense");
  EXPECT_EQ(ops::neg(a).node()->name(), "model/dense/Neg");
  EXPECT_EQ(graph_.find("model/dense/Neg")->op_name(), "Neg");
  EXPECT_EQ(graph_.find("elsewhere"), nullptr);
}

TEST_F(GraphTest, AGeneratedNameNeverTakesAGivenOne) {
  Node* given = graph_.add("Neg", {input({})}, {}, {.name = "Neg_1"});
  const Value a = ops::neg(given->output()), b = ops::neg(a);
  EXPECT_EQ(given->name(), "Neg_1");
  EXPECT_EQ(a.node()->name(), "Neg");
  EXPECT_NE(b.node()->name(), "Neg_1");
}

TEST_F(GraphTest, ValuesOfAnotherGraphAreRefused) {
  Graph other(registry_);
  const Value mine = input({2});
  const Value foreign = other.placeholder("foreign", {DType::kF32, {2}});
  expect_invalid({"Add: got value foreign of another graph"}, [&] { mine + foreign; });
  expect_invalid({"another graph"}, [&] { gradient(mine, foreign); });
}

TEST_F(GraphTest, SymbolicValuesHaveNoNumbers) {
  const Value x = ops::reduce_sum(input({N}));
  expect_error(Code::kFailedPrecondition, {"ReduceSum: a symbolic value has no number"},
               [&] { (void)x.item(); });
  expect_error(Code::kFailedPrecondition, {"ReduceSum", "ops::where"}, [&] {
    if (x) FAIL();
  });
  expect_error(Code::kFailedPrecondition, {"empty handle"}, [] { (void)Value().shape(); });
}

TEST_F(GraphTest, EmptyValuesAndWrongCountsAreRefused) {
  expect_invalid({"got an empty value"}, [&] { graph_.add("Neg", {Value()}); });
  expect_invalid({"Add: got 1 inputs; want 2"}, [&] { graph_.add("Add", {input({})}); });
  expect_error(Code::kNotFound, {"got \"Addd\"", "Add"}, [&] { graph_.add("Addd", {input({})}); });
}

TEST_F(GraphTest, ARefusedNodeLeavesTheGraphAsItWas) {
  const Value a = input({2}), b = input({3});
  const size_t before = graph_.nodes().size();
  expect_invalid({"add"}, [&] { a + b; });
  EXPECT_EQ(graph_.nodes().size(), before);
  EXPECT_EQ((a + a).node()->name(), "Add");
}

TEST_F(GraphTest, ScopesBelongToTheirThread) {
  NameScope name("here");
  std::thread([] {
    EXPECT_EQ(current_name_scope(), "");
    EXPECT_EQ(current_graph(), nullptr);
    expect_error(Code::kFailedPrecondition, {"constant: called outside"},
                 [] { ops::constant(Tensor::scalar(1.f)); });
  }).join();
  EXPECT_EQ(current_name_scope(), "here");
}

TEST_F(GraphTest, InnerGraphScopesAreLeftAgain) {
  {
    Graph inner(registry_);
    GraphScope scope(inner);
    EXPECT_EQ(&ops::scalar(1, DType::kF32).graph(), &inner);
  }
  EXPECT_EQ(current_graph(), &graph_);
}

TEST_F(GraphTest, AttributesAreSortedAndTyped) {
  const Attrs attrs{{"b", int64_t{1}}, {"a", 2.5}, {"c", std::string("x")}};
  EXPECT_EQ(attrs.entries()[0].first, "a");
  EXPECT_EQ(attrs.get<int64_t>("b"), 1);
  EXPECT_EQ(attrs.get_or<int64_t>("d", 7), 7);
  expect_error(Code::kInternal, {"attribute b"}, [&] { attrs.get<double>("b"); });
  expect_error(Code::kInternal, {"attribute d"}, [&] { attrs.get<double>("d"); });
}

TEST_F(GraphTest, OpsRegisterOnce) {
  expect_error(Code::kAlreadyExists, {"op registry: got op ", " twice"},
               [&] { ops::register_ops(registry_); });
}

class GradientsTest : public testing::OpTest {};

TEST_F(GradientsTest, AbsentWithoutAPath) {
  const Value x = input({2}), y = input({2});
  EXPECT_TRUE(gradient(ops::exp(y), x).absent());
  EXPECT_TRUE(gradient(ops::stop_gradient(x) * y, x).absent());
  expect_error(Code::kInternal, {}, [] { Gradient().dense(); });
}

TEST_F(GradientsTest, OfAValueItselfIsOnes) {
  const Value x = input({N, 2});
  const Value d = gradient(x, x).dense();
  EXPECT_EQ(d.node()->op_name(), "Fill");
  EXPECT_EQ(d.shape(), x.shape());
}

TEST_F(GradientsTest, ContributionsAddInTheOrderOfArrival) {
  const Value x = input({2});
  const Value d = gradient(ops::exp(x) + ops::sin(x) + ops::cos(x), x).dense();
  EXPECT_EQ(d.node()->op_name(), "Add");
  EXPECT_EQ(count("Add"), 4);  // two forward, two that join three contributions
}

TEST_F(GradientsTest, GivenGradientsAreUsed) {
  const Value x = input({2}), seed = input({2});
  const Value y = ops::neg(x);
  const auto d = gradients(std::vector<Value>{y}, std::vector<Value>{x}, std::vector<Value>{seed});
  EXPECT_EQ(d[0].dense().node()->input(0), seed);
  expect_invalid({"got 2 dys for 1 ys"}, [&] {
    gradients(std::vector<Value>{y}, std::vector<Value>{x}, std::vector<Value>{seed, seed});
  });
  expect_invalid({"got no value"}, [&] { gradients(std::vector<Value>{}, std::vector<Value>{x}); });
}

TEST_F(GradientsTest, NodesAreNamedAfterTheForwardNode) {
  NameScope scope("model");
  const Value x = input({2});
  const Value y = ops::tanh(x);
  EXPECT_EQ(gradient(y, x).dense().node()->name(), "model/gradients/model/Tanh/TanhGrad");
}

TEST_F(GradientsTest, AnOpWithoutGradientOnThePathIsNamed) {
  OpRegistry ops;
  ops::register_ops(ops);
  ops.add({.name = "Opaque", .num_inputs = 1, .infer = [](const InferContext& in) {
             return std::vector<TensorType>{in.input(0)};
           }});
  Graph graph(ops);
  GraphScope scope(graph);
  const Value x = graph.placeholder("x", {DType::kF32, {2}});
  const Value y = graph.add("Opaque", {x}, {}, {.name = "middle"})->output();
  expect_error(Code::kUnimplemented, {"middle (Opaque)"}, [&] { gradient(ops::neg(y), x); });
  EXPECT_FALSE(gradient(ops::neg(y), y).absent());
}

TEST_F(GradientsTest, SlicesAreScatteredWhenDenseIsWanted) {
  const Value table = input({10, 2}), indices = input({N}, DType::kI64);
  const Gradient d = gradient(ops::gather(table, indices), table);
  ASSERT_TRUE(d.is_slices());
  EXPECT_EQ(d.dense().node()->op_name(), "SlicesToDense");
}

TEST_F(GradientsTest, VariablesAreInputsLikeOthers) {
  const auto v =
      std::make_shared<VariableState>(Tensor(DType::kF32, {2}), VariableOptions{.name = "v"});
  const Value loss = ops::reduce_sum(graph_.read(v) * input({N, 2}));
  EXPECT_EQ(gradient(loss, graph_.read(v)).dense().shape(), (Shape{2}));
}

}  // namespace
}  // namespace cohort
