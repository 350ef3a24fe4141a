#include "cohort/distribute/collectives.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "cohort/distribute/communication_options.h"
#include "tests/distribute/group_harness.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using Values = std::vector<float>;

Values floats(const Tensor& tensor) {
  const auto values = tensor.values<float>();
  return Values(values.begin(), values.end());
}

void want(const Tensor& got, const Values& values, const Shape& shape) {
  if (floats(got) != values || got.shape() != shape)
    throw Internal("got {}; want {} values of {}", got.to_string(), values.size(), shape);
}

class CollectivesConcurrentTest : public ::testing::TestWithParam<NamedTopology> {
 protected:
  void on_ranks(int size, const std::function<void(Collectives&, int rank)>& body) {
    expect_no_errors(run_ranks(GetParam().make(size), [&](Communicator& communicator) {
      Collectives collectives(communicator);
      body(collectives, communicator.rank());
    }));
  }
};

INSTANTIATE_TEST_SUITE_P(Of, CollectivesConcurrentTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

// Cases of TensorFlow's cross_device_ops_test and collective_ops_test.

TEST_P(CollectivesConcurrentTest, SumsAndMeansOfReplicas) {
  for (const int n : {1, 2, 4})
    on_ranks(n, [n](Collectives& collectives, int rank) {
      Tensor sum = Tensor::from({static_cast<float>(rank)}), mean = sum.clone();
      auto first = collectives.all_reduce(sum, ops::ReduceOp::kSum);
      auto second = collectives.all_reduce(mean, ops::ReduceOp::kMean);
      first.wait();
      second.wait();
      want(sum, {static_cast<float>(n * (n - 1)) / 2}, Shape{1});
      want(mean, {static_cast<float>(n - 1) / 2}, Shape{1});
    });
}

TEST_P(CollectivesConcurrentTest, MeansOfIntegersAreRefused) {
  on_ranks(2, [](Collectives& collectives, int) {
    const Slices rows{Tensor::from<int64_t>({0}), Tensor::from<int32_t>({1})};
    const std::function<void()> means[] = {
        [&] { collectives.all_reduce(Tensor::from<int32_t>({1}), ops::ReduceOp::kMean); },
        [&] {
          collectives.reduce_scatter(Tensor::from<int32_t>({1, 2}), ops::ReduceOp::kMean);
        },
        [&] { collectives.all_gather(rows, ops::ReduceOp::kMean); },
        [&] { collectives.all_reduce(rows, 1, ops::ReduceOp::kMean); },
    };
    for (const auto& mean : means) {
      try {
        mean();
        throw Internal("got a mean of integers; want an error");
      } catch (const Error& error) {
        if (error.code() != Code::kInvalidArgument) throw;
      }
    }
  });
}

TEST_P(CollectivesConcurrentTest, SeveralCallsOfEqualSizeOverlap) {
  on_ranks(4, [](Collectives& collectives, int rank) {
    const auto r = static_cast<float>(rank);
    Tensor a = Tensor::from({2 * r + 1, 2 * r + 2}), b = a.clone(), c = a.clone();
    for (int step = 0; step < 3; ++step) {
      for (Tensor* t : {&a, &b, &c}) {
        t->data<float>()[0] = 2 * r + 1;
        t->data<float>()[1] = 2 * r + 2;
      }
      std::vector<Collectives::Pending> pending;
      pending.push_back(collectives.all_reduce(a, ops::ReduceOp::kSum));
      pending.push_back(collectives.all_reduce(b, ops::ReduceOp::kMean));
      pending.push_back(collectives.all_reduce(c, ops::ReduceOp::kSum));
      for (auto& p : pending) p.wait();
      want(a, {16, 20}, Shape{2});
      want(b, {4, 5}, Shape{2});
      want(c, {16, 20}, Shape{2});
    }
  });
}

TEST_P(CollectivesConcurrentTest, BroadcastsFromAnyRoot) {
  for (const int64_t n : {0, 3, 5000, 100000})
    for (const int root : {0, 2})
      on_ranks(3, [&](Collectives& collectives, int rank) {
        Tensor values = Tensor::full(DType::kF32, Shape{n}, rank == root ? 7 : -1);
        collectives.broadcast(values, root).wait();
        want(values, Values(static_cast<size_t>(n), 7), Shape{n});
      });
}

TEST_P(CollectivesConcurrentTest, GathersOnEveryAxis) {
  on_ranks(2, [](Collectives& collectives, int) {
    const Tensor x = Tensor::from(Values{1, 2, 1, 2}, Shape{1, 2, 2});
    want(collectives.all_gather(x, 0), {1, 2, 1, 2, 1, 2, 1, 2}, Shape{2, 2, 2});
    want(collectives.all_gather(x, 1), {1, 2, 1, 2, 1, 2, 1, 2}, Shape{1, 4, 2});
    want(collectives.all_gather(x, 2), {1, 2, 1, 2, 1, 2, 1, 2}, Shape{1, 2, 4});
  });
}

TEST_P(CollectivesConcurrentTest, GathersUnequalSizes) {
  on_ranks(3, [](Collectives& collectives, int rank) {
    const auto r = static_cast<float>(rank);
    const Tensor column = Tensor::full(DType::kF32, Shape{rank + 1, 1}, r);
    want(collectives.all_gather(column, 0), {0, 1, 1, 2, 2, 2}, Shape{6, 1});
    const Tensor row = Tensor::full(DType::kF32, Shape{2, rank + 1}, r);
    want(collectives.all_gather(row, 1), {0, 1, 1, 2, 2, 2, 0, 1, 1, 2, 2, 2}, Shape{2, 6});
  });
}

TEST_P(CollectivesConcurrentTest, ShapesThatDoNotFitAreAnErrorOnEveryRankAndNothingBreaks) {
  on_ranks(2, [](Collectives& collectives, int rank) {
    const Tensor odd = Tensor::full(DType::kF32, Shape{1, rank + 1}, 1);
    testing::expect_invalid({"Shape mismatch", "[1, 1]", "[1, 2]"},
                            [&] { collectives.all_gather(odd, 0); });
    testing::expect_invalid({"Shape mismatch"}, [&] {
      collectives.all_gather(Tensor(rank == 0 ? DType::kF32 : DType::kI32, Shape{2}));
    });
    testing::expect_invalid({"divide by 2 ranks"}, [&] {
      collectives.reduce_scatter(Tensor(DType::kF32, Shape{3}), ops::ReduceOp::kSum);
    });
    testing::expect_invalid({"row-major"}, [&] {
      collectives.all_reduce(Tensor(DType::kF32, Shape{2, 3}).transpose({1, 0}),
                             ops::ReduceOp::kSum);
    });
    collectives.barrier();
  });
}

TEST_P(CollectivesConcurrentTest, AllToAllAndReduceScatter) {
  on_ranks(3, [](Collectives& collectives, int rank) {
    const auto r = static_cast<float>(rank);
    want(collectives.all_to_all(Tensor::from({r, r, r})), {0, 1, 2}, Shape{3});
    want(collectives.reduce_scatter(Tensor::from(Values{1, 2, 3, 4, 5, 6}, Shape{3, 2}),
                                    ops::ReduceOp::kSum),
         {3 * (2 * r + 1), 3 * (2 * r + 2)}, Shape{1, 2});
  });
}

TEST_P(CollectivesConcurrentTest, ABarrierWaitsForAll) {
  std::atomic<int> arrived{0};
  on_ranks(4, [&](Collectives& collectives, int) {
    for (int round = 1; round <= 20; ++round) {
      ++arrived;
      collectives.barrier();
      if (arrived < 4 * round) throw Internal("left the barrier before all had come");
      collectives.barrier();
    }
  });
}

Slices slices(std::vector<int64_t> rows, Values values, int64_t width) {
  const auto k = static_cast<int64_t>(rows.size());
  return {Tensor::from(rows, Shape{k}), Tensor::from(values, Shape{k, width})};
}

TEST_P(CollectivesConcurrentTest, GathersSlices) {
  on_ranks(4, [](Collectives& collectives, int rank) {
    const Slices mine[] = {slices({0, 1}, {1, 2}, 1), slices({1, 2}, {3, 4}, 1),
                           slices({7, 8}, {5, 6}, 1), slices({3, 2}, {7, 8}, 1)};
    const Slices all = collectives.all_gather(mine[rank], ops::ReduceOp::kSum);
    want(all.values, {1, 2, 3, 4, 5, 6, 7, 8}, Shape{8, 1});
    const auto rows = all.indices.values<int64_t>();
    if (std::vector<int64_t>(rows.begin(), rows.end()) !=
        std::vector<int64_t>{0, 1, 1, 2, 7, 8, 3, 2})
      throw Internal("wrong rows");
  });
  on_ranks(2, [](Collectives& collectives, int rank) {
    const Slices mine = rank == 0 ? slices({1}, {1, 2}, 2) : slices({1, 3}, {3, 4, 5, 6}, 2);
    want(collectives.all_gather(mine, ops::ReduceOp::kMean).values, {.5, 1, 1.5, 2, 2.5, 3},
         Shape{3, 2});
  });
}

TEST_P(CollectivesConcurrentTest, ManySlicesBecomeATable) {
  on_ranks(2, [](Collectives& collectives, int rank) {
    const Slices few = rank == 0 ? slices({1}, {1, 2}, 2) : slices({1, 3}, {3, 4, 5, 6}, 2);
    if (collectives.all_reduce(few, 100, ops::ReduceOp::kSum).indices.size(0) != 3)
      throw Internal("want three gathered rows");
    const Slices all = collectives.all_reduce(few, 4, ops::ReduceOp::kMean);
    want(collectives
             .all_reduce(slices({0, 1, 2, 1}, {1, 2, 3, 4, 5, 6, 7, 8}, 2), 3, ops::ReduceOp::kSum)
             .values,
         {2, 4, 20, 24, 10, 12}, Shape{3, 2});
    want(all.values, {.5, 1, 1.5, 2, 2.5, 3}, Shape{3, 2});
  });
}

TEST_P(CollectivesConcurrentTest, OverlappingSubGroupsWorkSideBySide) {
  cluster::LocalKeyValueStore store;
  on_ranks(3, [&](Collectives& all, int rank) {
    std::vector<std::unique_ptr<Communicator>> pair;
    if (rank < 2) {
      ProcessGroupOptions options = GetParam().make(2);
      options.name = "pair";
      options.process = rank;
      options.store = &store;
      pair = make_process_communicators(options);
    }
    Tensor three = Tensor::from({3.0f}), two = Tensor::from({2.0f});
    auto pending = all.all_reduce(three, ops::ReduceOp::kSum);
    if (rank < 2) {
      Collectives both(*pair.front());
      both.all_reduce(two, ops::ReduceOp::kSum).wait();
      want(two, {4}, Shape{1});
    }
    pending.wait();
    want(three, {9}, Shape{1});
  });
}

TEST_P(CollectivesConcurrentTest, ManyDifferentSizesAreForgottenInStep) {
  on_ranks(2, [](Collectives& collectives, int) {
    std::mt19937 random(5);
    for (int call = 0; call < 200; ++call) {
      Tensor values = Tensor::full(DType::kF32, Shape{static_cast<int64_t>(random() % 150)}, 1);
      collectives.all_reduce(values, ops::ReduceOp::kSum).wait();
      want(values, Values(static_cast<size_t>(values.num_elements()), 2), values.shape());
    }
  });
}

TEST(CommunicationOptionsTest, NamesInAnyCaseAndMergedValues) {
  EXPECT_EQ(parse_communication_implementation("NCCL"), CommunicationImplementation::kNccl);
  EXPECT_EQ(parse_communication_implementation("Ring"), CommunicationImplementation::kRing);
  testing::expect_invalid({"foo", "nccl"}, [] { parse_communication_implementation("foo"); });
  const CommunicationOptions merged =
      CommunicationOptions{.bytes_per_pack = 50}.merge({.timeout = std::chrono::seconds(1)});
  EXPECT_EQ(merged.bytes_per_pack, 50);
  EXPECT_EQ(merged.timeout, std::chrono::seconds(1));
  // 0 is the default: it is taken, and replaces nothing.
  const CommunicationOptions none{.timeout = std::chrono::milliseconds(0)};
  none.check();
  EXPECT_EQ(merged.merge(none).timeout, std::chrono::seconds(1));
  testing::expect_invalid({"gradient_dtype", "float64"},
                          [] { CommunicationOptions{.gradient_dtype = DType::kF64}.check(); });
  testing::expect_invalid(
      {"timeout"}, [] { CommunicationOptions{.timeout = std::chrono::milliseconds(-1)}.check(); });
}

}  // namespace
}  // namespace cohort::distribute
