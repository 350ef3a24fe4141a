#include <gtest/gtest.h>

#include <algorithm>

#include "cohort/core/graph/op.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/cross_replica.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/placement/mirrored.h"

namespace cohort::distribute {
namespace {

constexpr StepRows kTwo{.num_replicas = 2};

std::vector<const Node*> nodes_of(const Trace& trace, std::string_view op) {
  std::vector<const Node*> found;
  for (const auto& node : trace.graph->nodes())
    if (node->op_name() == op) found.push_back(node.get());
  return found;
}

/// (x [N, 3], y [N]) -> what `body` makes of them.
Trace traced(const Function::Body& body) {
  return trace(body, {{DType::kF32, Shape{batch_dim(), 3}}, {DType::kI32, Shape{batch_dim()}}},
               "step");
}

TEST(PlacementTest, WhatStandsTogetherIsOneReductionWithItsGradientsFirst) {
  const Trace made = traced([](std::span<const Value>) {
    std::vector<Gradient> gradients{ops::fill({4}, DType::kF32, 1), ops::fill({2}, DType::kF32, 2)};
    std::vector<Value> metrics{ops::scalar(3, DType::kF32)};
    const NameScope scope("block");
    ops::sum_over_replicas(gradients, metrics);
    return std::vector<Value>{gradients[0].dense(), gradients[1].dense(), metrics[0]};
  });
  const Trace placed = place_mirrored(made, kTwo);
  ASSERT_EQ(nodes_of(placed, "AllReduce").size(), 1u);
  const Node& reduce = *nodes_of(placed, "AllReduce").front();
  EXPECT_EQ(reduce.name(), "block/AllReduce");
  EXPECT_EQ(reduce.inputs().size(), 3u);
  EXPECT_EQ(reduce.attrs().get<int64_t>("num_gradients"), 2);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(placed.outputs[static_cast<size_t>(i)], Value(const_cast<Node*>(&reduce), i));
  EXPECT_TRUE(nodes_of(placed, "CrossReplica").empty());
  EXPECT_EQ(nodes_of(made, "CrossReplica").size(), 1u) << "the trace stays as it is";
}

TEST(PlacementTest, ProgramsReductionsAreNotRounded) {
  const Trace placed =
      place_mirrored(traced([](std::span<const Value>) {
                       return ops::cross_replica(std::vector<Value>{ops::fill({4}, DType::kF32, 1)},
                                                 ops::ReduceOp::kMax, ops::Role::kValue);
                     }),
                     kTwo);
  const Node& reduce = *nodes_of(placed, "AllReduce").front();
  EXPECT_FALSE(reduce.attrs().has("num_gradients"));
  EXPECT_EQ(reduce.attrs().get<int64_t>("reduce_op"), static_cast<int64_t>(ops::ReduceOp::kMax));
}

TEST(PlacementTest, InputsNamesAndDevicesStay) {
  Trace made = traced([](std::span<const Value> in) {
    const DeviceScope device("cpu");
    const NameScope scope("layer");
    return std::vector<Value>{ops::replica_share(
        ops::cross_replica(ops::exp(in[0]), ops::ReduceOp::kSum, ops::Role::kStatistic))};
  });
  made.shared_inputs = {true, false};
  const Trace placed = place_mirrored(made, kTwo);
  EXPECT_EQ(placed.shared_inputs, made.shared_inputs);
  ASSERT_EQ(placed.graph->placeholders().size(), 2u);  // one is not used
  for (size_t i = 0; i < 2; ++i)
    EXPECT_EQ(placed.graph->placeholders()[i]->name(), made.graph->placeholders()[i]->name());
  for (const auto& node : placed.graph->nodes())
    if (node->op_name() != "Placeholder") {
      EXPECT_EQ(node->name().substr(0, 6), "layer/") << node->name();
      EXPECT_FALSE(node->device().to_string().empty()) << node->name();
    }
}

TEST(PlacementTest, OneReplicaIsAllOfThem) {
  const Trace placed = place_mirrored(
      traced([](std::span<const Value> in) {
        return std::vector<Value>{
            ops::replica_share(ops::cross_replica(in[0], ops::ReduceOp::kMean, ops::Role::kValue))};
      }),
      {});
  EXPECT_EQ(placed.outputs[0].node()->op_name(), "Placeholder");
}

/// The sum over replicas of slices of a table [rows, 3], as an op sees it that knows nothing of
/// whole tables.
Trace indices_and_values(int64_t rows) {
  return traced([rows](std::span<const Value> in) {
    std::vector<Gradient> gradients{Slices{in[1], in[0], Shape{rows, 3}}};
    std::vector<Value> none;
    ops::sum_over_replicas(gradients, none);
    const Slices sum = ops::combine_slices(gradients[0].slices());
    return std::vector<Value>{sum.indices + ops::constant(Tensor::scalar<int32_t>(10)), sum.values,
                              sum.indices};
  });
}

TEST(PlacementTest, SlicesThatBecomeAWholeTableNameItsRowsToWhoAsks) {
  const Trace placed = place_mirrored(indices_and_values(5), kTwo);
  EXPECT_EQ(placed.outputs[0].shape(), (Shape{5}));
  EXPECT_EQ(placed.outputs[1].node()->op_name(), "AllReduce");
  const Tensor rows = placed.outputs[2].node()->attrs().get<Tensor>("value");
  for (int32_t row = 0; row < 5; ++row) EXPECT_EQ(rows.values<int32_t>()[row], row);
}

TEST(PlacementTest, GatheredSlicesAreCombinedOnce) {
  const Trace placed =
      place_mirrored(indices_and_values(1000), {.num_replicas = 2, .batch_size = 8});
  EXPECT_EQ(nodes_of(placed, "AllGather").size(), 2u);
  EXPECT_EQ(nodes_of(placed, "CombineSlices").size(), 1u);
  EXPECT_EQ(placed.outputs[1].shape(), (Shape{Dim("4*num_replicas"), 3}));
}

}  // namespace
}  // namespace cohort::distribute
