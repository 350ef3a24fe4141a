#include "cohort/core/runtime/passes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/conv.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/pool.h"
#include "cohort/core/ops/random.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/aliases.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/memory_plan.h"
#include "cohort/core/runtime/replica_turns.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/schedule.h"
#include "cohort/core/runtime/step_vote.h"

namespace cohort {
namespace {

int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(std::count_if(graph.nodes().begin(), graph.nodes().end(),
                                        [&](const auto& node) { return node->op_name() == op; }));
}

class PassTest : public ::testing::Test {
 protected:
  PassTest()
      : graph_(std::make_unique<Graph>(default_runtime().ops())),
        scope_(std::make_unique<GraphScope>(*graph_)) {}

  Value input(Shape shape, DType dtype = DType::kF32) {
    return graph_->placeholder("x", {dtype, std::move(shape)});
  }
  GraphFunction take(std::vector<Value> fetches) {
    scope_.reset();
    return {std::move(graph_), std::move(fetches)};
  }

  std::unique_ptr<Graph> graph_;
  std::unique_ptr<GraphScope> scope_;
};

TEST_F(PassTest, BindPutsNumbersForSymbolsAndForWhatFollowsFromThem) {
  const Value x = input(Shape{batch_dim(), 3});
  const Value twice = ops::concat({x, x}, 0);
  const GraphFunction f = take({ops::reshape(twice, Shape{twice.shape()[0], 3, 1})});
  const GraphFunction bound = bind(*f.graph, f.fetches, {{"N", 4}});
  EXPECT_EQ(bound.fetches[0].shape(), (Shape{8, 3, 1}));
  EXPECT_THROW(bind(*f.graph, f.fetches, {}), Error);
}

TEST_F(PassTest, DeadNodesFallAwayButPlaceholdersKeepTheirNumbers) {
  const Value x = input(Shape{2}), y = input(Shape{2});
  ops::exp(x);
  const GraphFunction f = take({ops::log(y)});
  const GraphFunction bound = bind(*f.graph, f.fetches, {});
  EXPECT_EQ(count(*bound.graph, "Exp"), 0);
  EXPECT_EQ(bound.graph->placeholders().size(), 2u);
}

TEST_F(PassTest, ConstantsAreComputedOnceAtCompileTime) {
  const Value x = input(Shape{2});
  const Value c = ops::scalar(2, DType::kF32) * ops::scalar(3, DType::kF32) + 1.0;
  const GraphFunction f = take({x + c});
  const GraphFunction folded = fold_constants(default_runtime(), f);
  EXPECT_EQ(count(*folded.graph, "Mul"), 0);
  EXPECT_EQ(count(*folded.graph, "Add"), 1);
  const Node& sum = *folded.fetches[0].node();
  EXPECT_EQ(sum.input(1).node()->attrs().get<Tensor>("value").item(), 7);
}

TEST_F(PassTest, NeutralOperandsDisappear) {
  const Value x = input(Shape{2, 3});
  const GraphFunction f =
      take({ops::reshape(ops::transpose(x * 1.0 + 0.0, {0, 1}) / 1.0 - 0.0, Shape{2, 3})});
  const GraphFunction folded = fold_constants(default_runtime(), f);
  EXPECT_EQ(folded.fetches[0].node()->op_name(), "Placeholder");
}

TEST_F(PassTest, EqualNodesBecomeOneButRandomOnesNever) {
  const Value x = input(Shape{batch_dim(), 4});
  const GraphFunction f =
      take({ops::exp(x) + ops::exp(x), ops::dropout(x, 0.5) + ops::dropout(x, 0.5)});
  const GraphFunction merged = merge_common_subexpressions(f);
  EXPECT_EQ(count(*merged.graph, "Exp"), 1);
  EXPECT_EQ(count(*merged.graph, "Dropout"), 2);
}

TEST_F(PassTest, BiasAndReluAreFusedIntoProducts) {
  const Value x = input(Shape{5, 4}), image = input(Shape{2, 6, 6, 3}), w = input(Shape{4, 7}),
              b = input(Shape{7}), k = input(Shape{3, 3, 3, 7});
  const GraphFunction f = take({ops::relu(ops::matmul(x, w) + b), b + ops::conv2d(image, k)});
  const GraphFunction fused = fuse(f);
  EXPECT_EQ(count(*fused.graph, "FusedMatMul"), 1);
  EXPECT_EQ(count(*fused.graph, "FusedConv2D"), 1);
  EXPECT_EQ(count(*fused.graph, "Relu") + count(*fused.graph, "Add"), 0);
  EXPECT_EQ(fused.fetches[0].node()->attrs().get<std::string>("activation"), "relu");
  EXPECT_EQ(fused.fetches[1].node()->attrs().get<std::string>("activation"), "");
}

TEST_F(PassTest, AProductThatIsUsedTwiceIsNotFused) {
  const Value x = input(Shape{5, 4}), w = input(Shape{4, 7}), b = input(Shape{7});
  const Value product = ops::matmul(x, w);
  const GraphFunction f = take({ops::relu(product + b), product});
  EXPECT_EQ(count(*fuse(f).graph, "FusedMatMul"), 0);
}

TEST_F(PassTest, GradientsAreMaskedBeforePoolingSpreadsThem) {
  const Value x = input(Shape{2, 4, 4, 3});
  const Value loss = ops::reduce_sum(ops::square(ops::max_pool2d(ops::relu(x))));
  const GraphFunction f = take({gradients(loss, std::vector<Value>{x})[0].dense()});
  EXPECT_EQ(f.fetches[0].node()->op_name(), "ReluGrad");
  const GraphFunction fused = fuse(f);
  EXPECT_EQ(fused.fetches[0].node()->op_name(), "MaxPool2DGrad");
  Tensor image(DType::kF32, Shape{2, 4, 4, 3});
  for (int64_t i = 0; i < image.num_elements(); ++i)
    image.data<float>()[i] = static_cast<float>((i * 37) % 23) - 11;
  std::vector<Tensor> results;
  for (const char* off : {"fuse", "none"}) {
    const auto executable =
        compile(default_runtime(), *f.graph, f.fetches, {}, {.disabled_passes = {off}});
    executable->set_input(0, image.raw());
    executable->run();
    results.push_back(executable->output(0));
  }
  EXPECT_TRUE(bitwise_equal(results[0], results[1]));
}

TEST_F(PassTest, SumsOfGradientsAreTakenBeforePoolingSpreadsThem) {
  const Value x = input(Shape{2, 4, 4, 3}), bias = input(Shape{3});
  const Value loss = ops::reduce_sum(ops::square(ops::max_pool2d(ops::relu(x + bias))));
  const GraphFunction f = take({gradients(loss, std::vector<Value>{bias})[0].dense()});
  const GraphFunction fused = fuse(f);
  ASSERT_EQ(fused.fetches[0].node()->op_name(), "ReduceSum");
  EXPECT_EQ(fused.fetches[0].node()->input(0).shape(), (Shape{2, 2, 2, 3})) << "not yet spread";
  Tensor image(DType::kF32, Shape{2, 4, 4, 3});
  for (int64_t i = 0; i < image.num_elements(); ++i)
    image.data<float>()[i] = static_cast<float>((i * 37) % 23) - 11;
  const Tensor shift = Tensor::from({0.f, 1.f, -2.f});
  std::vector<Tensor> results;
  for (const char* off : {"fuse", "none"}) {
    const auto executable =
        compile(default_runtime(), *f.graph, f.fetches, {}, {.disabled_passes = {off}});
    executable->set_input(0, image.raw());
    executable->set_input(1, shift.raw());
    executable->run();
    results.push_back(executable->output(0));
  }
  EXPECT_TRUE(bitwise_equal(results[0], results[1])) << "small integers sum exactly";
}

TEST_F(PassTest, ReductionsStartAsSoonAsTheirInputsAreReady) {
  const Value x = input(Shape{4});
  const Value early = ops::exp(x), late = ops::sin(ops::cos(ops::log(x)));
  ops::all_reduce(std::vector<Value>{early, late}, ops::ReduceOp::kSum);
  const Value e = ops::all_reduce(early, ops::ReduceOp::kMax);
  const GraphFunction f = take({e});
  CollectivePlan plan;
  const GraphFunction planned = plan_collectives(*f.graph, f.fetches, 1, plan);
  EXPECT_EQ(plan.buckets.size(), 1u) << "the sum is dead";
  Device* device = &default_runtime().device("cpu:0");
  const auto schedules = make_schedules(*planned.graph, [&](const Node&) { return device; });
  ASSERT_EQ(schedules.size(), 1u);
  std::vector<ScheduleEntry::Kind> kinds;
  for (const auto& entry : schedules[0].entries) kinds.push_back(entry.kind);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), ScheduleEntry::Kind::kStart), 1);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), ScheduleEntry::Kind::kWait), 1);
}

TEST_F(PassTest, BucketsAreCutBySizeAndDtypeInOrderOfReadiness) {
  const Value a = ops::exp(input(Shape{100})), b = ops::exp(input(Shape{100})),
              c = ops::exp(input(Shape{3}, DType::kF64)), d = ops::exp(input(Shape{5}));
  const GraphFunction f =
      take(ops::all_reduce(std::vector<Value>{d, c, b, a}, ops::ReduceOp::kSum));
  CollectivePlan plan;
  const GraphFunction planned = plan_collectives(*f.graph, f.fetches, 800, plan);
  ASSERT_EQ(plan.buckets.size(), 3u);
  EXPECT_EQ(plan.buckets[0].offsets, (std::vector<int64_t>{0, 112}))
      << "a and b, padded to 64 bytes";
  EXPECT_EQ(plan.buckets[0].num_elements, 224);
  EXPECT_EQ(planned.fetches.size(), 4u);
}

TEST_F(PassTest, ATensorThatDependsOnTheBatchCannotBeReduced) {
  const GraphFunction f =
      take({ops::all_reduce(ops::exp(input(Shape{batch_dim(), 2})), ops::ReduceOp::kSum)});
  CollectivePlan plan;
  EXPECT_THROW(plan_collectives(*f.graph, f.fetches, 800, plan), Error);
}

/// The variables of the only update, in the order of its layout, and the ops of the schedule.
std::pair<std::vector<std::string>, std::vector<std::string>> layout_of_step(
    const std::string& scope) {
  const auto variable = [](const std::string& name) {
    return std::make_shared<VariableState>(Tensor(DType::kF32, Shape{3}),
                                           VariableOptions{.name = name});
  };
  const ops::Variables variables{variable("first"), variable("second"), variable("third")};
  Graph graph(default_runtime().ops());
  const GraphScope graph_scope(graph);
  const NameScope name(scope);
  Value y = graph.placeholder("x", {DType::kF32, {3}});
  std::vector<Value> reads;
  for (const auto& v : variables) {
    reads.push_back(graph.read(v));
    y = ops::tanh(y * reads.back());
  }
  std::vector<Value> clipped;  // in the order in which they were made, the gradients last to first
  for (const Gradient& g : gradients(ops::reduce_sum(y), reads))
    clipped.push_back(ops::clip(g.dense(), -1, 1));
  ops::sgd_update(variables, {}, clipped, ops::scalar(0.1, DType::kF32),
                  ops::step_info(ops::StepField::kStep), ops::all_finite(clipped), {});
  CollectivePlan plan;
  const GraphFunction planned = plan_collectives(graph, {}, 1, plan);
  std::pair<std::vector<std::string>, std::vector<std::string>> found;
  for (const int64_t id :
       planned.graph->commit_nodes().front()->attrs().get<std::vector<int64_t>>("variables"))
    found.first.push_back(planned.graph->variables()[static_cast<size_t>(id)]->name());
  Device* device = &default_runtime().device("cpu:0");
  for (const Schedule& schedule :
       make_schedules(*planned.graph, [&](const Node&) { return device; }))
    for (const ScheduleEntry& entry : schedule.entries)
      found.second.push_back(entry.node->op_name());
  return found;
}

TEST_F(PassTest, ANameScopeOfAnyNameLeavesLayoutAndScheduleAlone) {
  const auto [variables, schedule] = layout_of_step("model");
  EXPECT_EQ(variables, (std::vector<std::string>{"third", "second", "first"}));
  for (const char* scope : {"gradients", "gradients/gradients", "my_gradients"}) {
    EXPECT_EQ(layout_of_step(scope).first, variables) << scope;
    EXPECT_EQ(layout_of_step(scope).second, schedule) << scope;
  }
}

/// The schedule of a planned step, in words: "Exp start | Mul wait (Add)". What is in parentheses
/// is for the last turn alone, and "|" is a cut.
std::string words_of_turns(const GraphFunction& f) {
  CollectivePlan plan;
  const GraphFunction planned = insert_copies(plan_collectives(*f.graph, f.fetches, 1, plan));
  const std::vector<bool> of_each = fetches_of_each_replica(*planned.graph, planned.fetches);
  const std::vector<bool> every_turn =
      nodes_of_every_turn(*planned.graph, planned.fetches, of_each);
  Device* device = &default_runtime().default_device();
  const Schedule schedule = make_schedules(
                                *planned.graph, [&](const Node&) { return device; }, every_turn)
                                .front();
  std::string words;
  for (size_t i = 0; i < schedule.entries.size(); ++i) {
    const ScheduleEntry& entry = schedule.entries[i];
    if (std::count(schedule.cuts.begin(), schedule.cuts.end(), i) > 0) words += "| ";
    std::string word = entry.node->op_name();
    if (entry.node->op().kind == OpKind::kSource) continue;
    if (entry.kind == ScheduleEntry::Kind::kStart) word = "start";
    if (entry.kind == ScheduleEntry::Kind::kWait) word = "wait";
    words += entry.every_turn ? word + " " : "(" + word + ") ";
  }
  return words;
}

TEST_F(PassTest, TheLastTurnAloneGoesOnBehindAReduction) {
  const Value x = input(Shape{3});
  const Value local = ops::exp(x), sum = ops::all_reduce(ops::sin(local), ops::ReduceOp::kSum);
  EXPECT_EQ(words_of_turns(take({local, ops::exp(sum)})), "Exp Sin start (wait) (Exp) ");
}

TEST_F(PassTest, AReductionThatReplicasGoOnWithCutsTheSchedule) {
  const Value x = input(Shape{3});
  const Value sum = ops::all_reduce(ops::sin(x), ops::ReduceOp::kSum);
  const Value other = ops::all_reduce(ops::cos(x), ops::ReduceOp::kSum);
  const Value own = sum * x;  // of each replica
  const Value again = ops::all_reduce(ops::tanh(own) + other, ops::ReduceOp::kSum);
  auto v = std::make_shared<VariableState>(Tensor(DType::kF32, Shape{3}), VariableOptions{});
  ops::assign(v, ops::exp(again) + sum);
  EXPECT_EQ(
      words_of_turns(take({})),
      "Sin start Cos start (wait) | Mul Tanh (wait) | Add start (wait) (Exp) (Add) (Assign) ");
}

TEST_F(PassTest, RanksVoteOnceNoneOfThemCanFailAlone) {
  auto v = std::make_shared<VariableState>(Tensor(DType::kF32, Shape{3}), VariableOptions{});
  const Value x = input(Shape{3});
  const Value reduced = ops::all_reduce(ops::exp(x), ops::ReduceOp::kSum);
  ops::assign(v, reduced + ops::exp(reduced));
  const Value late = ops::tanh(x);  // of one replica, recorded behind the reduction
  const GraphFunction f = take({late});
  CollectivePlan plan;
  plan.voters = 2;
  const GraphFunction planned = plan_collectives(*f.graph, f.fetches, 1, plan);
  ASSERT_EQ(plan.buckets.size(), 2u);
  EXPECT_EQ(plan.buckets[1].dtype, DType::kI32);
  std::vector<std::string> order;
  for (const auto& node : planned.graph->nodes()) order.push_back(node->op_name());
  const auto at = [&](std::string_view op) {
    return std::find(order.begin(), order.end(), op) - order.begin();
  };
  EXPECT_TRUE(is_vote(*planned.graph->nodes()[static_cast<size_t>(at("StepVote"))]));
  EXPECT_TRUE(is_veto(*planned.graph->commit_nodes().front()));
  EXPECT_LT(at("Tanh"), at("StepVote"));
  EXPECT_LT(at("StepVote"), at("StepVeto"));
  EXPECT_LT(at("StepVeto"), at("Assign"));
}

TEST_F(PassTest, WhereKernelsThrowALaterReductionIsTheVote) {
  auto v = std::make_shared<VariableState>(Tensor(DType::kF32, Shape{3}), VariableOptions{});
  const Value x = input(Shape{3});
  ops::assign(v, ops::all_reduce(ops::exp(x), ops::ReduceOp::kSum));
  const GraphFunction f = take({x});
  for (const bool kernels_throw : {false, true}) {
    CollectivePlan plan;
    plan.voters = 2;
    plan.kernels_throw = kernels_throw;
    plan_collectives(*f.graph, f.fetches, 1, plan);
    EXPECT_EQ(plan.buckets.size(), kernels_throw ? 1u : 2u);
  }
}

TEST_F(PassTest, AStepThatWritesNothingNeedsNoVote) {
  const Value x = input(Shape{3});
  const GraphFunction f = take({ops::all_reduce(ops::exp(x), ops::ReduceOp::kSum)});
  CollectivePlan plan;
  plan.voters = 2;
  plan_collectives(*f.graph, f.fetches, 1, plan);
  EXPECT_EQ(plan.buckets.size(), 1u);
}

TEST(MemoryPlanTest, EveryBlockLiesAtItsAlignment) {
  std::vector<Interval> intervals;
  for (int i = 0; i < 60; ++i)
    intervals.push_back({static_cast<size_t>(i * 37 + 1), 0, i % 7, size_t{64} << i % 3});
  const MemoryPlan plan = plan_memory(intervals);
  for (size_t i = 0; i < intervals.size(); ++i)
    EXPECT_EQ(plan.offsets[i] % intervals[i].alignment, 0u) << i;
}

TEST(MemoryPlanTest, BlocksAliveTogetherDoNotOverlap) {
  std::vector<Interval> intervals;
  uint32_t random = 1;
  const auto next = [&](uint32_t below) {
    return (random = random * 1664525 + 1013904223) / 65536 % below;
  };
  for (int i = 0; i < 200; ++i) {
    const int first = static_cast<int>(next(100));
    intervals.push_back({next(5000), first, first + static_cast<int>(next(20))});
  }
  const MemoryPlan plan = plan_memory(intervals);
  size_t most_alive = 0;
  for (int t = 0; t < 120; ++t) {
    size_t alive = 0;
    for (const Interval& i : intervals)
      if (i.first <= t && t <= i.last) alive += (i.bytes + 63) / 64 * 64;
    most_alive = std::max(most_alive, alive);
  }
  for (size_t a = 0; a < intervals.size(); ++a) {
    EXPECT_LE(plan.offsets[a] + intervals[a].bytes, plan.bytes);
    for (size_t b = 0; b < a; ++b) {
      const bool together =
          intervals[a].first <= intervals[b].last && intervals[b].first <= intervals[a].last;
      const bool apart = plan.offsets[a] + intervals[a].bytes <= plan.offsets[b] ||
                         plan.offsets[b] + intervals[b].bytes <= plan.offsets[a];
      EXPECT_TRUE(!together || apart) << a << " and " << b;
    }
  }
  EXPECT_LE(plan.bytes, most_alive * 5 / 4) << "close to the least possible";
}

}  // namespace
}  // namespace cohort
