#include "cohort/core/ops/cross_replica.h"

#include "cohort/core/graph/gradients.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/slices.h"
#include "tests/support/evaluate.h"
#include "tests/support/gradient_check.h"
#include "tests/ops/op_test.h"

namespace cohort::testing {
namespace {

class CrossReplicaTest : public OpTest {
 protected:
  /// Slices of a table [100, 3], of as many rows as the batch has.
  Slices rows() { return {input({N}, DType::kI64), input({N, 3}), Shape{100, 3}}; }
};

TEST_F(CrossReplicaTest, KeepsTypesAndPassesGradients) {
  const std::vector<Value> values{input({N, 3}), input({}, DType::kI64), input({2})};
  const auto sums = ops::cross_replica(values, ops::ReduceOp::kSum, ops::Role::kValue);
  ASSERT_EQ(sums.size(), 3u);
  EXPECT_EQ(sums[1].type(), values[1].type());
  expect_invalid({"all_reduce: a mean: got int64 []; want a floating dtype"},
                 [&] { ops::cross_replica(values[1], ops::ReduceOp::kMean, ops::Role::kValue); });
  const std::vector<Value> floats{values[0], values[2]};
  const auto means = ops::cross_replica(floats, ops::ReduceOp::kMean, ops::Role::kStatistic);
  const auto d = gradients(means[1], floats);
  EXPECT_TRUE(d[0].absent());
  const Node& reduction = *d[1].dense().node();
  EXPECT_EQ(reduction.op_name(), "CrossReplica");
  EXPECT_EQ(reduction.inputs().size(), 1u);
  EXPECT_EQ(ops::cross_replica_terms(reduction)[0].role, ops::Role::kStatistic);
  EXPECT_EQ(reduction.attrs().get<int64_t>("reduce_op"),
            static_cast<int64_t>(ops::ReduceOp::kMean));
  expect_error(Code::kUnimplemented, {"all_reduce: got a gradient"}, [&] {
    gradient(ops::cross_replica(values[0], ops::ReduceOp::kMax, ops::Role::kValue), values[0]);
  });
}

TEST_F(CrossReplicaTest, OneNodeHoldsTheGradientsAndMetricsOfAStep) {
  const Value dense = input({4, 2}), metric = input({});
  std::vector<Gradient> gradients{dense, {}, rows()};
  std::vector<Value> metrics{metric};
  ops::sum_over_replicas(gradients, metrics);
  EXPECT_EQ(gradients[0].dense().type(), dense.type());
  EXPECT_TRUE(gradients[1].absent());
  const Slices& sum = gradients[2].slices();
  EXPECT_EQ(sum.dense_shape, (Shape{100, 3}));
  EXPECT_EQ(sum.values.shape()[0].symbol(), "reduced_rows");
  EXPECT_EQ(sum.values.shape()[1], 3);
  EXPECT_EQ(sum.indices.shape()[0].symbol(), "reduced_rows");
  const Node& node = *metrics[0].node();
  EXPECT_EQ(node.inputs().size(), 4u);
  const auto terms = ops::cross_replica_terms(node);
  ASSERT_EQ(terms.size(), 3u);
  EXPECT_EQ(terms[0].role, ops::Role::kGradient);
  EXPECT_FALSE(terms[0].is_slices());
  EXPECT_EQ(terms[1].input, 1);
  EXPECT_EQ(terms[1].table, (Shape{100, 3}));
  EXPECT_EQ(terms[2].role, ops::Role::kMetric);
  EXPECT_EQ(terms[2].input, 3);
}

TEST_F(CrossReplicaTest, NothingIsRecordedForNothing) {
  std::vector<Gradient> gradients(2);
  std::vector<Value> none;
  const size_t before = graph_.nodes().size();
  ops::sum_over_replicas(gradients, none);
  EXPECT_EQ(graph_.nodes().size(), before);
}

TEST_F(CrossReplicaTest, ATableOfMoreRowsThanAnIndexCanSayIsDense) {
  std::vector<Gradient> gradients{
      Slices{input({N}, DType::kI64), input({N, 1}), Shape{ops::kLargestTable + 1, 1}}};
  std::vector<Value> none;
  ops::sum_over_replicas(gradients, none);
  EXPECT_FALSE(gradients[0].is_slices());
}

TEST_F(CrossReplicaTest, SlicesMustFitTheirIndices) {
  std::vector<Gradient> gradients{Slices{input({4}, DType::kI32), input({5, 3}), Shape{100, 3}}};
  std::vector<Value> none;
  expect_invalid({"sum_over_replicas: got indices [4], values [5, 3]; want [K] and [K, ...]"},
                 [&] { ops::sum_over_replicas(gradients, none); });
}

TEST_F(CrossReplicaTest, IntegersHaveNoShares) {
  expect_invalid({"replica_share: got int32 []; want a floating dtype"},
                 [&] { ops::replica_share(input({}, DType::kI32)); });
}

TEST(CrossReplicaValuesTest, OneReplicaIsAllOfThem) {
  const Tensor x = random_tensor({3, 2}, 1);
  for (auto op : {ops::ReduceOp::kSum, ops::ReduceOp::kMean})
    check_gradients(
        [&](Inputs in) {
          return ops::replica_share(ops::cross_replica(in[0] * in[0], op, ops::Role::kValue));
        },
        {x});
}

}  // namespace
}  // namespace cohort::testing
