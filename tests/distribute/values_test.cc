#include <gtest/gtest.h>

#include "cohort/core/graph/gradients.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/array.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/context.h"
#include "cohort/distribute/distributed_dataset.h"
#include "cohort/distribute/mirrored_strategy.h"

/// The one-process cases of TensorFlow's tests for Strategy::run, reduce, gather and distributed
/// input.
namespace cohort::distribute {
namespace {

std::vector<float> floats_of(const Tensor& t) {
  const Tensor f = t.cast(DType::kF32);
  return {f.values<float>().begin(), f.values<float>().end()};
}
using Floats = std::vector<float>;

class StrategyValuesConcurrentTest : public ::testing::TestWithParam<int> {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  int n() const { return GetParam(); }
  Strategy strategy(int replicas_each = 1) const {
    MirroredOptions options{.num_replicas = n() * replicas_each};
    for (int i = 0; i < n(); ++i) options.devices.push_back("cpu:" + std::to_string(i));
    return MirroredStrategy(options);
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, StrategyValuesConcurrentTest, ::testing::Values(1, 2, 3, 4));

TEST_P(StrategyValuesConcurrentTest, ReduceOfReplicaIds) {
  const Strategy s = strategy();
  const Function id = function([](std::vector<Value>) {
    return std::vector<Value>{get_replica_context().replica_id_in_sync_group(),
                              ops::scalar(1, DType::kF32)};
  });
  const auto results = s.run(id, {});
  EXPECT_EQ(s.reduce(ReduceOp::kSum, results[0]).item<int>(), n() * (n() - 1) / 2);
  EXPECT_EQ(s.reduce("SUM", results[1]).item(), n());
  EXPECT_EQ(s.reduce(ReduceOp::kMax, results[0]).item<int>(), n() - 1);
  EXPECT_EQ(s.local_results(results[0]).size(), static_cast<size_t>(n()));
}

TEST_P(StrategyValuesConcurrentTest, MeanAlongAnAxisIsOverAllElements) {
  const Strategy s = strategy();
  const PerReplica x = s.distribute_values_from_function([](int) {
    return Tensor::from({1.f, 2.f});
  });
  EXPECT_EQ(s.reduce(ReduceOp::kMean, x, 0).item(), 1.5);
  EXPECT_EQ(s.reduce(ReduceOp::kSum, x, 0).item(), 3 * n());
  const PerReplica uneven = s.distribute_values_from_function([](int r) {
    return r == 0 ? Tensor::from({1.f, 2.f, 3.f})
                  : Tensor::full(DType::kF32, Shape{r == 1 ? 1 : 0}, 6);
  });
  EXPECT_EQ(s.reduce(ReduceOp::kMean, uneven, 0).item(), n() == 1 ? 2.f : 3.f);
}

TEST_P(StrategyValuesConcurrentTest, MeansOfIntegersAreExactDoubles) {
  const Strategy s = strategy();
  const double mean_id = (n() - 1) / 2.0;
  for (const DType dtype : {DType::kI32, DType::kI64, DType::kU8, DType::kI8}) {
    const PerReplica ids =
        s.distribute_values_from_function([&](int r) { return Tensor::full(dtype, Shape{}, r); });
    const Tensor mean = s.reduce(ReduceOp::kMean, ids);
    EXPECT_EQ(mean.dtype(), DType::kF64);
    EXPECT_EQ(mean.item<double>(), mean_id);
    EXPECT_EQ(s.reduce(ReduceOp::kSum, ids).dtype(), dtype);
    // 100 and 100 + r: the sum of four does not fit a byte.
    const PerReplica rows = s.distribute_values_from_function([&](int r) {
      return Tensor::from({100.0, 100.0 + r}).cast(dtype);
    });
    EXPECT_EQ(s.reduce(ReduceOp::kMean, rows, 0).item<double>(), 100 + mean_id / 2);
  }
  const PerReplica first = s.distribute_values_from_function(
      [](int r) { return Tensor::from(std::vector<bool>{r == 0}, Shape{}); });
  EXPECT_EQ(s.reduce(ReduceOp::kMean, first).item<double>(), 1.0 / n());
}

TEST_P(StrategyValuesConcurrentTest, AMeanOfIntegersInsideAStepIsRefused) {
  const Strategy s = strategy();
  const Function step =
      function([](Value x) { return get_replica_context().all_reduce(ReduceOp::kMean, x); });
  EXPECT_THROW(s.run(step, {Tensor::scalar<int32_t>(1)}), Error);
}

TEST_P(StrategyValuesConcurrentTest, GatherConcatenatesInReplicaOrder) {
  const Strategy s = strategy();
  const PerReplica rows = s.distribute_values_from_function([](int r) {
    return Tensor::full(DType::kF32, Shape{r + 1, 1}, r);
  });
  EXPECT_EQ(s.gather(rows, 0).shape(), (Shape{n() * (n() + 1) / 2, 1}));
  const PerReplica columns = s.distribute_values_from_function([](int r) {
    return Tensor::full(DType::kF32, Shape{2, r + 1}, r);
  });
  const Tensor wide = s.gather(columns, 1);
  EXPECT_EQ(wide.shape(), (Shape{2, n() * (n() + 1) / 2}));
  Floats row;
  for (int r = 0; r < n(); ++r)
    row.insert(row.end(), static_cast<size_t>(r) + 1, static_cast<float>(r));
  EXPECT_EQ(floats_of(wide.slice(0, 1, 2)), row);
  if (n() > 1) {
    EXPECT_THROW(s.gather(columns, 0), Error);
  }
}

TEST_P(StrategyValuesConcurrentTest, AllReduceInsideAStep) {
  for (const int each : {1, 2}) {
    const Strategy s = strategy(each);
    const int replicas = n() * each;
    const Function step = function([](Value x) {
      const ReplicaContext context = get_replica_context();
      const std::vector<Value> both{x, x * 2.0};
      std::vector<Value> sums = context.all_reduce(ReduceOp::kSum, both);
      sums.push_back(context.all_reduce(ReduceOp::kMean, x));
      sums.push_back(context.merge_call(
          [](const Strategy&, Value v) { return reduce_to(ReduceOp::kMax, v); }, x));
      return sums;
    });
    const auto out = s.run(step, {s.distribute_values_from_function([](int r) {
                             return Tensor::from({r + 1.f, 1.f});
                           })});
    const float sum = static_cast<float>(replicas * (replicas + 1) / 2);
    for (int r = 0; r < replicas; ++r) {
      EXPECT_EQ(floats_of(out[0][r]), (Floats{sum, static_cast<float>(replicas)}));
      EXPECT_EQ(floats_of(out[1][r]), (Floats{2 * sum, 2.f * static_cast<float>(replicas)}));
      EXPECT_EQ(floats_of(out[2][r]), (Floats{sum / static_cast<float>(replicas), 1}));
      EXPECT_EQ(floats_of(out[3][r]), (Floats{static_cast<float>(replicas), 1}));
    }
  }
}

TEST_P(StrategyValuesConcurrentTest, CrossReplicaCallsInsideAStepAreRefused) {
  const Strategy s = strategy();
  const Function bad = function([&](Value x) {
    s.reduce(ReduceOp::kSum, PerReplica({Tensor::scalar(1.f)}));
    return x;
  });
  try {
    s.run(bad, {Tensor::scalar(1.f)});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kFailedPrecondition);
    EXPECT_NE(std::string(error.what()).find("merge_call"), std::string::npos);
  }
}

TEST_P(StrategyValuesConcurrentTest, SumOfSquaresOverADistributedDataset) {
  const Strategy s = strategy();
  const DistributedDataset dataset =
      s.experimental_distribute_dataset(data::Dataset::range(10).batch(4));
  const Function squares =
      function([](Value x) { return ops::reduce_sum(ops::square(ops::cast(x, DType::kF32))); });
  double total = 0;
  auto it = dataset.iterate();
  while (const DistributedElement* batch = it.next())
    total += s.reduce(ReduceOp::kSum, s.run(squares, {(*batch)[0]})[0]).item();
  EXPECT_EQ(total, 285);
}

class DistributedDatasetTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  static std::vector<std::vector<Floats>> steps(const DistributedDataset& dataset) {
    std::vector<std::vector<Floats>> all;
    auto it = dataset.iterate();
    while (const DistributedElement* batch = it.next()) {
      std::vector<Floats> step;
      for (const Tensor& t : (*batch)[0].values()) step.push_back(floats_of(t));
      all.push_back(step);
    }
    return all;
  }
  const Strategy two_ = Strategy(MirroredStrategy({.devices = {"cpu:0", "cpu:1"}}));
  const Strategy three_ = Strategy(MirroredStrategy({.devices = {"cpu:0", "cpu:1", "cpu:2"}}));
};

using Steps = std::vector<std::vector<Floats>>;

TEST_F(DistributedDatasetTest, GlobalBatchesAreSplitEvenly) {
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(data::Dataset::range(8).batch(4))),
            (Steps{{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}}));
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(data::Dataset::range(10).batch(2))).size(),
            5u);
  EXPECT_EQ(steps(three_.experimental_distribute_dataset(data::Dataset::range(4).batch(4))),
            (Steps{{{0, 1}, {2, 3}, {}}}));
}

// As TensorFlow's: data/input_pipeline.h.
TEST_F(DistributedDatasetTest, AShortLastBatchIsCutByThePolicy) {
  const data::Dataset batches = data::Dataset::range(39).batch(7);
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(batches)).back(),
            (std::vector<Floats>{{35, 36}, {37, 38}}));
  const data::DatasetOptions off{.auto_shard_policy = data::AutoShardPolicy::kOff};
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(batches.with_options(off))).back(),
            (std::vector<Floats>{{35, 36, 37, 38}, {}}));
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(data::Dataset::range(5).batch(4))),
            (Steps{{{0, 1}, {2, 3}}, {{4}, {}}}));
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(
                data::Dataset::range(5).batch(4, {.drop_remainder = true}))),
            (Steps{{{0, 1}, {2, 3}}}));
}

TEST_F(DistributedDatasetTest, EachReplicaTakesAnElementOfAFunctionsDataset) {
  const auto make = [](bool drop) {
    return [drop](const InputContext& context) {
      EXPECT_EQ(context.num_replicas_in_sync, 2);
      return data::Dataset::range(9).batch(2, {.drop_remainder = drop});
    };
  };
  EXPECT_EQ(steps(two_.distribute_datasets_from_function(make(false))),
            (Steps{{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}, {{8}, {}}}));
  EXPECT_EQ(steps(two_.distribute_datasets_from_function(make(true))),
            (Steps{{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}}));
  EXPECT_EQ(steps(two_.distribute_datasets_from_function(
                [](const InputContext&) { return data::Dataset::range(4); })),
            (Steps{{{0}, {1}}, {{2}, {3}}}));
}

TEST_F(DistributedDatasetTest, PerReplicaBatchSizeMustDivide) {
  const InputContext context{.num_replicas_in_sync = 4};
  EXPECT_EQ(context.get_per_replica_batch_size(8), 2);
  EXPECT_THROW(context.get_per_replica_batch_size(10), Error);
}

TEST_F(DistributedDatasetTest, ElementsWithoutRowsGoToReplicasOneByOne) {
  EXPECT_EQ(steps(two_.experimental_distribute_dataset(data::Dataset::range(4))),
            (Steps{{{0}, {1}}, {{2}, {3}}}));
  EXPECT_THROW(steps(two_.experimental_distribute_dataset(data::Dataset::range(5))), Error);
}

TEST_F(DistributedDatasetTest, PositionsContinueExactly) {
  const data::Dataset rows = data::Dataset::range(20).shuffle(20);
  const auto per_replica = [&](const InputContext&) { return rows.batch(3); };
  for (const DistributedDataset& dataset : {two_.experimental_distribute_dataset(rows.batch(6)),
                                            two_.experimental_distribute_dataset(rows),
                                            two_.distribute_datasets_from_function(per_replica)}) {
    const Steps all = steps(dataset);
    auto it = dataset.iterate();
    it.next();
    it.next();
    auto resumed = dataset.resume(it.position());
    for (size_t s = 2; s < all.size(); ++s) {
      const DistributedElement* batch = resumed.next();
      ASSERT_NE(batch, nullptr);
      for (size_t r = 0; r < 2; ++r) EXPECT_EQ(floats_of((*batch)[0].values()[r]), all[s][r]) << s;
    }
    EXPECT_EQ(resumed.next(), nullptr);
  }
}

/// d(x^2)/dx over [5, 6, 7, 8] in batches of two, whatever the strategy.
TEST_F(DistributedDatasetTest, GradientsInACustomLoop) {
  const Function gradient = function([](Value x) {
    return gradients(ops::reduce_sum(ops::square(x)), std::vector<Value>{x})[0].dense();
  });
  for (const Strategy& s : {two_, three_, OneDeviceStrategy("cpu:0")}) {
    auto it = s.experimental_distribute_dataset(
                   data::Dataset::from_tensor_slices({Tensor::from({5.f, 6.f, 7.f, 8.f})}).batch(2))
                  .iterate();
    Steps got;
    while (const DistributedElement* batch = it.next())
      got.push_back({floats_of(s.gather(s.run(gradient, {(*batch)[0]})[0], 0))});
    EXPECT_EQ(got, (Steps{{{10, 12}}, {{14, 16}}})) << s.num_replicas_in_sync();
  }
}

}  // namespace
}  // namespace cohort::distribute
