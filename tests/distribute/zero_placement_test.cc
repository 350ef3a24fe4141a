#include <gtest/gtest.h>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/ops/update.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "cohort/distribute/placement/sharded_gradients.h"
#include "cohort/distribute/placement/zero.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using testing::expect_error;
using Variables = ops::Variables;

class ZeroPlacementConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

 public:
  static Variables of_sizes(const std::vector<int64_t>& sizes, const std::string& name) {
    Variables variables;
    for (const int64_t size : sizes)
      variables.push_back(std::make_shared<VariableState>(
          Tensor(DType::kF32, Shape{size}),
          VariableOptions{.name = name + std::to_string(variables.size())}));
    return variables;
  }

 protected:
  /// Adam on gradients of ones, each replica's share of which is changed by `change`.
  Trace adam_step(const std::function<Gradient(const Gradient&)>& change = {},
                  bool returns_gradient = false) const {
    return trace(
        [&](std::span<const Value>) {
          std::vector<Gradient> gradients;
          std::vector<Value> none, dense;
          for (const auto& variable : variables_)
            gradients.push_back(ops::fill(variable->shape(), DType::kF32, 1));
          ops::sum_over_replicas(gradients, none);
          for (const Gradient& gradient : gradients)
            dense.push_back((change ? change(gradient) : gradient).dense());
          ops::adam_update(variables_, m_, v_, {}, dense, ops::scalar(0.1, DType::kF32),
                           ops::scalar(1, DType::kI64),
                           ops::constant(Tensor::from(std::vector<bool>{true}, Shape{})), {});
          return returns_gradient ? std::vector<Value>{gradients[0].dense()} : std::vector<Value>{};
        },
        {}, "step");
  }
  static Trace place(const Trace& made, size_t bucket_bytes = size_t{4} << 20) {
    ParameterGroups groups;
    return place_zero(made, {.num_replicas = 4},
                      {.sharding = Sharding::kZero1,
                       .first_replicas = {0, 1, 2, 3},
                       .bucket_bytes = bucket_bytes},
                      groups);
  }
  static std::map<std::string, int> count_ops(const Trace& trace) {
    std::map<std::string, int> counts;
    for (const auto& node : trace.graph->nodes()) ++counts[node->op_name()];
    return counts;
  }

  const std::vector<int64_t> sizes_{10, 5000, 3000};
  const Variables variables_ = of_sizes(sizes_, "p"), m_ = of_sizes(sizes_, "m"),
                  v_ = of_sizes(sizes_, "v");
};

TEST_F(ZeroPlacementConcurrentTest, AGroupIsOneScatterOneUpdateAndOnePublication) {
  const Trace placed = place(adam_step());
  auto counts = count_ops(placed);
  EXPECT_EQ(counts["ReduceScatter"], 1);
  EXPECT_EQ(counts["AdamUpdate"], 1);
  EXPECT_EQ(counts["PublishParameters"], 1);
  EXPECT_EQ(counts["AllReduce"] + counts["CrossReplica"], 0);
  ASSERT_EQ(placed.groups.size(), 1u);
  EXPECT_EQ(placed.groups[0]->segments().size(), 3u);
  EXPECT_EQ(placed.groups[0]->slots().size(), 2u);
}

TEST_F(ZeroPlacementConcurrentTest, GroupsHaveAboutTheBytesOfAPack) {
  EXPECT_EQ(place(adam_step(), 20000).groups.size(), 2u);
}

TEST_F(ZeroPlacementConcurrentTest, WhatIsDoneToEachGradientIsDoneOnceToTheirGroup) {
  const Trace placed = place(adam_step([](const Gradient& gradient) {
    return Gradient(ops::clip(gradient.dense() / 2.0, -0.25, 0.25));
  }));
  auto counts = count_ops(placed);
  EXPECT_EQ(counts["Div"], 1);
  EXPECT_EQ(counts["Minimum"], 1);
  EXPECT_EQ(counts["Maximum"], 1);
}

TEST_F(ZeroPlacementConcurrentTest, TheFirstPlacingMakesSlotsPartsOfTheGroups) {
  const auto made = adam_step();
  const Trace first = place(made), second = place(made);
  EXPECT_EQ(m_[1]->part().whole, m_[0]->part().whole);
  EXPECT_NE(m_[1]->part().whole, v_[1]->part().whole);
  EXPECT_EQ(m_[1]->part().offset % ParameterGroup::kLine, 0);
  EXPECT_EQ(variables_[1]->part().whole, nullptr);
  EXPECT_EQ(first.groups[0]->slots(), second.groups[0]->slots());
}

/// A step of Adam on variables of these sizes, each with a gradient of its own, for a scalar.
std::unique_ptr<StepRunner> adam_runner(const std::vector<int64_t>& sizes,
                                        const Strategy& strategy) {
  const auto of_sizes = ZeroPlacementConcurrentTest::of_sizes;
  const Variables p = of_sizes(sizes, "p"), m = of_sizes(sizes, "m"), v = of_sizes(sizes, "v");
  const Trace made = trace(
      [&](std::span<const Value> in) {
        std::vector<Gradient> gradients;
        std::vector<Value> none, dense;
        Value next = in[0];
        for (const auto& variable : p) {
          next = ops::sin(next);
          gradients.push_back(next * ops::fill(variable->shape(), DType::kF32, 1));
        }
        ops::sum_over_replicas(gradients, none);
        for (const Gradient& gradient : gradients) dense.push_back(gradient.dense());
        ops::adam_update(p, m, v, {}, dense, ops::scalar(0.1, DType::kF32),
                         ops::scalar(1, DType::kI64),
                         ops::constant(Tensor::from(std::vector<bool>{true}, Shape{})), {});
        return std::vector<Value>{};
      },
      {{DType::kF32, Shape{}}}, "step");
  return strategy.make_runner(made);
}

/// What a device holds for it.
GroupMemory memory_of_adam(const std::vector<int64_t>& sizes, const MirroredOptions& options) {
  const Strategy strategy = MirroredStrategy(options);
  return adam_runner(sizes, strategy)->memory();
}

MirroredOptions on_devices(int devices, Sharding sharding, int64_t bytes_per_pack = 4 << 20) {
  MirroredOptions options{.bytes_per_pack = bytes_per_pack, .sharding = sharding};
  for (int i = 0; i < devices; ++i) options.devices.push_back("cpu:" + std::to_string(i));
  return options;
}

TEST_F(ZeroPlacementConcurrentTest, BytesOfEachClassAreThoseOfTheFormula) {
  for (const int devices : {2, 3, 4}) {
    const GroupMemory memory = memory_of_adam(sizes_, on_devices(devices, Sharding::kZero1));
    // 10 in a line, 5000 in two, and 3000 behind them in the second of those.
    const size_t lines = 3, d = static_cast<size_t>(devices);
    const size_t elements = (lines + d - 1) / d * d * ParameterGroup::kLine;
    EXPECT_EQ(memory.parameters, 4 * elements);
    EXPECT_EQ(memory.gradients, 4 * elements);
    EXPECT_EQ(memory.slots, 8 * elements / d);
  }
}

TEST_F(ZeroPlacementConcurrentTest, ShardedGradientsTakeTheirPartAndTwoBuckets) {
  // A group for each variable.
  const std::vector<int64_t> sizes(7, 12 * ParameterGroup::kLine);
  const size_t bucket = 4 * 12 * ParameterGroup::kLine, all = 7 * bucket;
  for (const int devices : {2, 3, 4}) {
    const GroupMemory memory =
        memory_of_adam(sizes, on_devices(devices, Sharding::kZero2, static_cast<int64_t>(bucket)));
    const auto d = static_cast<size_t>(devices);
    EXPECT_EQ(memory.parameters, all);
    EXPECT_EQ(memory.gradients, all / d + 2 * bucket);
    EXPECT_EQ(memory.slots, 2 * all / d);
  }
}

/// Replicas dealt to d devices in T turns: a device adds up its part of T sums in ceil(log2 T) of
/// them. Elsewhere it adds up whole buckets first.
TEST_F(ZeroPlacementConcurrentTest, ReplicasInTurnScatterEachTurnWhereTurnsAreSubtrees) {
  struct Case {
    int replicas, devices;
    bool scatters;
    size_t sums;  ///< parts, or whole buckets beside the result
  };
  const std::vector<int64_t> sizes(7, 12 * ParameterGroup::kLine);
  const size_t bucket = 4 * 12 * ParameterGroup::kLine, all = 7 * bucket;
  for (const Case& test : {Case{4, 2, true, 1}, Case{6, 2, true, 2}, Case{8, 2, true, 2},
                           Case{8, 4, true, 1}, Case{16, 2, true, 3}, Case{12, 4, true, 2},
                           Case{6, 3, false, 1}, Case{6, 4, false, 0}, Case{8, 3, false, 1}}) {
    MirroredOptions options =
        on_devices(test.devices, Sharding::kZero2, static_cast<int64_t>(bucket));
    options.num_replicas = test.replicas;
    const GroupMemory memory = memory_of_adam(sizes, options);
    const auto d = static_cast<size_t>(test.devices);
    EXPECT_EQ(memory.parameters, all);
    EXPECT_EQ(memory.gradients,
              test.scatters ? test.sums * all / d + 2 * bucket : (1 + test.sums) * all)
        << test.replicas << " replicas on " << test.devices << " devices";
    EXPECT_EQ(memory.slots, 2 * all / d);
  }
}

/// Seven gradients and the vote in each of four turns, and what seven groups publish.
TEST_F(ZeroPlacementConcurrentTest, EveryTurnOfDealtReplicasTakesPartInEveryCollective) {
  const std::vector<int64_t> sizes(7, 12 * ParameterGroup::kLine);
  MirroredOptions options = on_devices(2, Sharding::kZero2, 4 * sizes.front());
  options.num_replicas = 8;
  const Strategy strategy = MirroredStrategy(options);
  const auto runner = adam_runner(sizes, strategy);
  for (uint64_t step = 1; step <= 3; ++step) {
    runner->run({Tensor::scalar(0.5f)}, StepNumber{});
    EXPECT_EQ(runner->communication_cost().collectives, step * (4 * (7 + 1) + 7));
  }
}

TEST_F(ZeroPlacementConcurrentTest, AReaderOfAPartIsRefused) {
  expect_error(Code::kInvalidArgument, {"outputs", "the gradient of p0", "4 devices on axis data"},
               [&] { place(adam_step({}, true)); });
}

TEST_F(ZeroPlacementConcurrentTest, AGradientThatIsNoSumOverReplicasIsRefused) {
  expect_error(Code::kUnimplemented, {"AdamUpdate", "a gradient of p0", "Fill"}, [&] {
    place(adam_step([](const Gradient& gradient) {
      return Gradient(ops::fill(gradient.dense().shape(), DType::kF32, 1));
    }));
  });
}

TEST_F(ZeroPlacementConcurrentTest, DifferentChangesOfGradientsOfOneGroupAreRefused) {
  expect_error(Code::kUnimplemented, {"the gradient of p", "element by element"}, [&] {
    place(adam_step([](const Gradient& gradient) {
      const Value g = gradient.dense();
      return Gradient(g.shape()[0] == 10 ? ops::exp(g) : ops::square(g));
    }));
  });
}

TEST_F(ZeroPlacementConcurrentTest, AnOptimizerThatIsNotElementwiseIsRefused) {
  OpRegistry registry;
  ops::register_state(registry);
  registry.add({.name = "LayerwiseUpdate",
                .num_inputs = -1,
                .infer = [](const InferContext&) { return std::vector<TensorType>{}; },
                .kind = OpKind::kUpdate,
                .group_inputs = 0});
  Graph graph(registry);
  const Value gradient = graph.placeholder("gradient", {DType::kF32, Shape{10}});
  const Node* update = graph.add("LayerwiseUpdate", {gradient},
                                 {{"variables", std::vector{graph.variable_id(variables_[0])}}});
  expect_error(Code::kUnimplemented, {"LayerwiseUpdate of p0", "element by element"},
               [&] { ShardedGradients().cut(*update, 100); });
}

TEST(ShardingTest, IsReadFromItsName) {
  EXPECT_EQ(parse_sharding("none"), Sharding::kNone);
  EXPECT_EQ(parse_sharding("zero1"), Sharding::kZero1);
  EXPECT_EQ(parse_sharding("zero2"), Sharding::kZero2);
  expect_error(Code::kInvalidArgument, {"zero3", "none, zero1 or zero2"},
               [] { parse_sharding("zero3"); });
}

}  // namespace
}  // namespace cohort::distribute
