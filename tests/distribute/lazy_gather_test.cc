// Gathers that each rank waits for when it likes.
#include <gtest/gtest.h>

#include "tests/distribute/carriers.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using testing::expect_error;

constexpr int kRanks = 3;

/// What one rank has of a lazy gather of `count` floats of each.
struct LazyGather {
  LazyGather(Communicator& rank, int64_t count)
      : rank(rank.rank()), own(rank, count, true), all(static_cast<size_t>(kRanks * count)) {
    output = all.data();
    request = rank.prepare({.kind = CollectiveKind::kAllGather,
                            .count = count,
                            .buffer = &own.slot,
                            .output = &output,
                            .lazy = true});
  }

  void start(int round) {
    for (int64_t i = 0; i < own.count; ++i) own.data()[i] = value_of<float>(rank, i, round);
    std::fill(all.begin(), all.end(), -1.0f);
    request->start();
  }
  void wait_and_check(int round) {
    request->wait();
    const float* at = all.data();
    for (int r = 0; r < kRanks; ++r)
      for (int64_t i = 0; i < own.count; ++i, ++at)
        if (*at != value_of<float>(r, i, round))
          throw Internal("element {} of rank {} in round {}: got {}", i, r, round, *at);
  }

  const int rank;
  Buffer<float> own;
  std::vector<float> all;
  void* output = nullptr;
  std::unique_ptr<Communicator::Request> request;
};

/// All ranks come here.
class Barrier {
 public:
  explicit Barrier(Communicator& rank)
      : number_(rank, 1, false), sum_(rank.prepare({.count = 1, .buffer = &number_.slot})) {}
  void meet() { call(*sum_); }

 private:
  Buffer<float> number_;
  std::unique_ptr<Communicator::Request> sum_;
};

class LazyGatherConcurrentTest : public ::testing::TestWithParam<Carrier> {};
INSTANTIATE_TEST_SUITE_P(Of, LazyGatherConcurrentTest, ::testing::ValuesIn(kCarriers),
                         carrier_name);

// While one rank waits, the others are inside of a barrier that it comes to afterwards.
TEST_P(LazyGatherConcurrentTest, NeedsNoOtherRankWhenAllHaveStarted) {
  for (const int64_t count : {1000, 40001})
    expect_no_errors(GetParam().run(Blocks(kRanks, 1), [&](Communicator& rank) {
      LazyGather gather(rank, count);
      Barrier barrier(rank);
      for (int round = 0; round < 4; ++round) {
        gather.start(round);
        barrier.meet();
        for (int turn = 0; turn < kRanks; ++turn) {
          if ((turn + round) % kRanks == rank.rank()) gather.wait_and_check(round);
          barrier.meet();
        }
      }
    }));
}

TEST_P(LazyGatherConcurrentTest, ABufferIsWrittenAnewWhenAllHaveWaited) {
  for (const int64_t count : {1000, 40001})
    expect_no_errors(GetParam().run(Blocks(kRanks, 1), [&](Communicator& rank) {
      LazyGather gather(rank, count);
      gather.request->wait_for_others();  // nothing is on its way
      for (int round = 0; round < 20; ++round) {
        gather.start(round);
        gather.wait_and_check(round);
        gather.request->wait_for_others();
      }
    }));
}

class LazyGatherConcurrentProcessTest : public ::testing::TestWithParam<NamedTopology> {};
INSTANTIATE_TEST_SUITE_P(Of, LazyGatherConcurrentProcessTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST_P(LazyGatherConcurrentProcessTest, WhatOthersHaveNotTakenOutlivesItsRank) {
  for (const int64_t count : {1000, 40001, 700001})
    expect_no_errors(run_ranks(GetParam().make(kRanks), [&](Communicator& rank) {
      auto gather = std::make_unique<LazyGather>(rank, count);
      Barrier barrier(rank);
      gather->start(1);
      barrier.meet();
      if (rank.rank() == 0) {
        gather->wait_and_check(1);
        gather = nullptr;
      }
      barrier.meet();
      if (gather) gather->wait_and_check(1);
      barrier.meet();
    }));
}

TEST_P(LazyGatherConcurrentProcessTest, PrivateMemoryOnOneHostIsRefused) {
  if (std::string(GetParam().name) != "SharedMemory") return;  // others copy it at the start
  run_ranks(GetParam().make(kRanks), [&](Communicator& rank) {
    Buffer<float> own(rank, 10, false);
    std::vector<float> all(10 * kRanks);
    void* output = all.data();
    expect_error(Code::kInvalidArgument, {"all_gather", "allocate_bucket"}, [&] {
      rank.prepare({.kind = CollectiveKind::kAllGather,
                    .count = 10,
                    .buffer = &own.slot,
                    .output = &output,
                    .lazy = true});
    });
  });
}

}  // namespace
}  // namespace cohort::distribute
