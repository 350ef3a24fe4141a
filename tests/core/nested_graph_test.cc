// Every pass goes through the graphs that nodes hold.
#include <gmock/gmock.h>

#include <algorithm>

#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/program.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/symbol.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_error;
using Nested = std::shared_ptr<const Graph>;

int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(std::count_if(graph.nodes().begin(), graph.nodes().end(),
                                        [&](const auto& node) { return node->op_name() == op; }));
}

const Graph& inside(const Node& node) { return *node.attrs().get<Nested>("body"); }
const Graph& inside(const Value& value) { return inside(*value.node()); }

class NestedGraphTest : public ::testing::Test {
 protected:
  NestedGraphTest()
      : graph_(std::make_unique<Graph>(default_runtime().ops())),
        scope_(std::make_unique<GraphScope>(*graph_)) {}

  Value input(Shape shape, DType dtype = DType::kF32) {
    return graph_->placeholder("x", {dtype, std::move(shape)});
  }

  /// A node on `x` that holds the graph which `record` makes of an input of x's type, under
  /// `scope`.
  Value holder(Value x, const std::function<void(Value)>& record, const std::string& scope = "") {
    auto body = std::make_shared<Graph>(graph_->ops());
    {
      const GraphScope graph_scope(*body);
      const NameScope name(scope);
      record(body->placeholder("input", x.type()));
    }
    return graph_->add("FusedElementwise", {x}, {{"body", Nested(body)}})->output();
  }

  GraphFunction take(std::vector<Value> fetches) {
    scope_.reset();
    return {std::move(graph_), std::move(fetches)};
  }

  std::unique_ptr<Graph> graph_;
  std::unique_ptr<GraphScope> scope_;
};

TEST_F(NestedGraphTest, SymbolsInsideAreBound) {
  const Value x = input(Shape{batch_dim(), 3});
  const Value y = holder(x, [](Value v) {
    ops::reshape(ops::broadcast_to(v * 2.0, v.shape()), Shape{3, v.shape()[0]});
  });
  EXPECT_EQ(y.shape(), (Shape{3, batch_dim()}));
  const GraphFunction f = take({y});
  const GraphFunction bound = bind(*f.graph, f.fetches, {{"N", 4}});
  EXPECT_EQ(bound.fetches[0].shape(), (Shape{3, 4}));
  for (const auto& node : inside(bound.fetches[0]).nodes())
    EXPECT_TRUE(node->output_types()[0].shape.is_concrete()) << node->name();
  expect_error(Code::kInvalidArgument, {"dimension N"}, [&] { bind(*f.graph, f.fetches, {}); });
}

TEST_F(NestedGraphTest, SymbolsInsideGraphsInsideGraphsAreBound) {
  const Value x = input(Shape{batch_dim()});
  const Value y = holder(x, [&](Value v) {
    auto deepest = std::make_shared<Graph>(graph_->ops());
    ops::exp(deepest->placeholder("input", v.type()));
    v.graph().add("FusedElementwise", {v}, {{"body", Nested(deepest)}});
  });
  const GraphFunction f = take({y});
  const GraphFunction bound = bind(*f.graph, f.fetches, {{"N", 4}});
  const Graph& deepest = inside(*inside(bound.fetches[0]).nodes().back());
  EXPECT_EQ(deepest.nodes().back()->output_types()[0].shape, Shape{4});
}

TEST_F(NestedGraphTest, ABoundGraphInsideIsComputed) {
  const Value x = input(Shape{batch_dim(), 2});
  const Value y = holder(x, [](Value v) { ops::square(ops::neg(v) + v * v); });
  const GraphFunction f = take({y});
  const auto executable =
      compile(default_runtime(), *f.graph, f.fetches, {{"N", 2}}, CompileOptions{});
  const Tensor values = Tensor::from({1.f, 2.f, -3.f, 0.5f});
  executable->set_input(0, values.raw());
  executable->run();
  const Tensor result = executable->output(0);
  EXPECT_EQ(result.shape(), (Shape{2, 2}));
  EXPECT_THAT(result.values<float>(), ::testing::ElementsAre(0.f, 4.f, 144.f, 0.0625f));
}

TEST_F(NestedGraphTest, NodesWithEqualGraphsInsideBecomeOne) {
  const Value x = input(Shape{4});
  const auto record = [](Value v) { ops::exp(v) * 2.0; };
  const GraphFunction f = take({holder(x, record, "one"), holder(x, record, "another"),
                                holder(x, [](Value v) { ops::exp(v) * 3.0; }),
                                holder(x, [](Value v) { ops::log(v) * 2.0; }),
                                holder(x, [](Value v) { 2.0 * ops::exp(v); })});
  const GraphFunction merged = merge_common_subexpressions(f);
  EXPECT_EQ(count(*merged.graph, "FusedElementwise"), 4);
  EXPECT_EQ(merged.fetches[0], merged.fetches[1]);
  for (size_t i = 2; i < 5; ++i) EXPECT_NE(merged.fetches[0], merged.fetches[i]) << i;
}

TEST_F(NestedGraphTest, EqualNumbersOfDifferentVariablesInsideDoNotMakeNodesEqual) {
  const Value x = input(Shape{2});
  const auto variable = [] {
    return std::make_shared<VariableState>(Tensor(DType::kF32, {2}), VariableOptions{});
  };
  const auto a = variable(), b = variable();
  const auto reads = [](const std::shared_ptr<VariableState>& variable) {
    return [variable](Value v) { v* v.graph().read(variable); };
  };
  const GraphFunction f = take({holder(x, reads(a)), holder(x, reads(b)), holder(x, reads(a))});
  const GraphFunction merged = merge_common_subexpressions(f);
  EXPECT_NE(merged.fetches[0], merged.fetches[1]);
  EXPECT_EQ(merged.fetches[0], merged.fetches[2]);
}

TEST_F(NestedGraphTest, NodesWithRandomNumbersInsideStayApart) {
  const Value x = input(Shape{4});
  const auto record = [](Value v) { ops::dropout(v, 0.5); };
  const Value ones = ops::constant(Tensor::full(DType::kF32, Shape{4}, 1));
  const GraphFunction f = take({holder(x, record), holder(x, record), holder(ones, record)});
  EXPECT_EQ(count(*merge_common_subexpressions(f).graph, "FusedElementwise"), 3);
  EXPECT_EQ(count(*fold_constants(default_runtime(), f).graph, "FusedElementwise"), 3);
}

TEST_F(NestedGraphTest, NodesInsideAreMerged) {
  const GraphFunction f =
      take({holder(input(Shape{4}), [](Value v) { ops::exp(v) + ops::exp(v); })});
  const GraphFunction merged = merge_common_subexpressions(f);
  EXPECT_EQ(count(inside(merged.fetches[0]), "Exp"), 1);
}

TEST_F(NestedGraphTest, ConstantsInsideAreFolded) {
  const GraphFunction f = take({holder(input(Shape{4}), [](Value v) {
    v + (ops::scalar(2, DType::kF32) * ops::scalar(3, DType::kF32) + 1.0);
  })});
  const GraphFunction folded = fold_constants(default_runtime(), f);
  const Graph& body = inside(folded.fetches[0]);
  EXPECT_EQ(count(body, "Mul"), 0);
  EXPECT_EQ(body.nodes().back()->input(1).node()->attrs().get<Tensor>("value").item(), 7);
}

TEST_F(NestedGraphTest, TheResultInsideStaysThatOfTheLastNode) {
  const GraphFunction f = take({holder(input(Shape{4}), [](Value v) { ops::exp(v) * 1.0; }),
                                holder(input(Shape{4}), [](Value v) { (v * 1.0) + v; })});
  const GraphFunction folded = fold_constants(default_runtime(), f);
  EXPECT_EQ(inside(folded.fetches[0]).nodes().back()->op_name(), "Mul");
  EXPECT_EQ(inside(folded.fetches[1]).nodes().back()->op_name(), "Add");
  EXPECT_EQ(count(inside(folded.fetches[1]), "Mul"), 0);
}

TEST_F(NestedGraphTest, DeadNodesInsideFallAwayInEveryPass) {
  const auto make = [this] {
    graph_ = std::make_unique<Graph>(default_runtime().ops());
    scope_ = std::make_unique<GraphScope>(*graph_);
    return take({holder(input(Shape{4}), [](Value v) {
      ops::exp(v);
      ops::log(v);
    })});
  };
  Runtime& runtime = default_runtime();
  Device& cpu = runtime.device("cpu:0");
  const auto exponentials = [&](const GraphFunction& f) {
    const Graph& body = inside(f.fetches[0]);
    EXPECT_EQ(body.placeholders().size(), 1u);
    return count(body, "Exp");
  };
  const GraphFunction f = make();
  EXPECT_EQ(exponentials(f), 1);
  EXPECT_EQ(exponentials(bind(*f.graph, f.fetches, {})), 0);
  EXPECT_EQ(exponentials(drop_reductions(*f.graph, f.fetches)), 0);
  EXPECT_EQ(exponentials(fold_constants(runtime, f)), 0);
  EXPECT_EQ(exponentials(merge_common_subexpressions(f)), 0);
  EXPECT_EQ(exponentials(fuse(f)), 0);
  EXPECT_EQ(exponentials(fuse_elementwise(runtime, cpu, f)), 1) << "its own graphs stay";
}

TEST_F(NestedGraphTest, ProductsInsideAreFused) {
  const GraphFunction f = take({holder(input(Shape{4, 4}), [](Value v) {
    const Value bias = ops::constant(Tensor(DType::kF32, Shape{4}));
    ops::relu(ops::matmul(v, v) + bias);
  })});
  const GraphFunction fused = fuse(f);
  EXPECT_EQ(inside(fused.fetches[0]).nodes().back()->op_name(), "FusedMatMul");
}

TEST_F(NestedGraphTest, ReductionsInsideFallAwayForOneReplica) {
  const GraphFunction f = take({holder(
      input(Shape{4}), [](Value v) { ops::exp(ops::all_reduce(v, ops::ReduceOp::kSum)); })});
  EXPECT_EQ(count(inside(drop_reductions(*f.graph, f.fetches).fetches[0]), "AllReduce"), 0);
}

TEST_F(NestedGraphTest, AStepWithStateInsideANodeIsRefused) {
  const auto variable =
      std::make_shared<VariableState>(Tensor(DType::kF32, {4}), VariableOptions{});
  for (const std::function<void(Value)>& record : std::vector<std::function<void(Value)>>{
           [](Value v) { ops::neg(ops::all_reduce(v, ops::ReduceOp::kSum)); },
           [&](Value v) { v* v.graph().read(variable); },
           [&](Value v) { ops::assign(variable, v), ops::neg(v); }}) {
    const auto graph = std::make_shared<Graph>(default_runtime().ops());
    auto body = std::make_shared<Graph>(graph->ops());
    record(body->placeholder("input", {DType::kF32, {4}}));
    const Value x = graph->placeholder("x", {DType::kF32, {4}});
    const Value y = graph->add("FusedElementwise", {x}, {{"body", Nested(body)}})->output();
    expect_error(Code::kUnimplemented, {"FusedElementwise: got a graph inside"},
                 [&] { Program(default_runtime(), Trace{.graph = graph, .outputs = {y}}, {}); });
  }
}

}  // namespace
}  // namespace cohort
