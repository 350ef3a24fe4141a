#include "cohort/kernels/cuda/card_communicator.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "cohort/distribute/replica_tree.h"
#include "cohort/kernels/cuda/device.h"
#include "tests/cuda_host/fake_cuda.h"
#include "tests/support/expect_error.h"

namespace cohort::cuda {
namespace {

using std::chrono::milliseconds;
using testing::expect_error;
using testing::fake_cuda;

/// Logical devices of one card, each with a bucket.
struct Ranks {
  explicit Ranks(int count, int64_t n, int num_replicas = 0,
                 milliseconds timeout = std::chrono::minutes(1))
      : n(n) {
    for (int i = 0; i < count; ++i) {
      owned.push_back(std::make_unique<CudaDevice>(Place{.ordinal = 0, .index = i}));
      devices.push_back(owned.back().get());
    }
    ends = make_card_communicators(
        {.devices = devices,
         .order = distribute::combine_order(std::vector<int>(devices.size(), 1)),
         .num_replicas = num_replicas == 0 ? count : num_replicas},
        timeout);
    for (const auto& end : ends) {
      memory.push_back(end->allocate_bucket(static_cast<size_t>(n) * sizeof(float)));
      slots.push_back(std::make_unique<void*>(memory.back().get()));
    }
  }
  float* data(size_t rank) const { return static_cast<float*>(*slots[rank]); }
  void prepare(CollectiveSpec spec) {
    spec.count = n;
    for (size_t r = 0; r < ends.size(); ++r) {
      spec.buffer = slots[r].get();
      requests.push_back(ends[r]->prepare(spec));
    }
  }
  void prepare(ops::ReduceOp op) { prepare(CollectiveSpec{.op = op}); }
  /// Each on a thread of its own; returns what they threw.
  std::vector<std::optional<Error>> run(const std::function<void(size_t)>& body) const {
    std::vector<std::optional<Error>> errors(ends.size());
    std::vector<std::thread> threads;
    for (size_t r = 0; r < ends.size(); ++r)
      threads.emplace_back([&, r] {
        try {
          devices[r]->bind_thread();
          body(r);
        } catch (const Error& error) {
          errors[r] = error;
        }
      });
    for (std::thread& thread : threads) thread.join();
    return errors;
  }
  void reduce() const {
    for (const auto& error : run([this](size_t r) { requests[r]->start(), requests[r]->wait(); }))
      EXPECT_FALSE(error) << error->what();
  }
  /// A number for each rank and element; sums depend on the order of addition.
  static float number(size_t rank, int64_t i) {
    return 1.f / static_cast<float>(3 + 7 * rank + static_cast<size_t>(i % 11));
  }
  void fill() const {
    for (size_t r = 0; r < ends.size(); ++r)
      for (int64_t i = 0; i < n; ++i) data(r)[i] = number(r, i);
  }
  /// In the tree over ranks.
  float sum(int64_t i) const {
    std::vector<float> sums;
    for (size_t r = 0; r < ends.size(); ++r) sums.push_back(number(r, i));
    for (const auto& [to, from] : distribute::combine_order(std::vector<int>(sums.size(), 1)))
      sums[static_cast<size_t>(to)] += sums[static_cast<size_t>(from)];
    return sums[0];
  }

  const int64_t n;
  std::vector<std::unique_ptr<CudaDevice>> owned;
  std::vector<Device*> devices;
  std::vector<std::unique_ptr<Communicator>> ends;
  std::vector<std::shared_ptr<void>> memory;
  std::vector<std::unique_ptr<void*>> slots;
  std::vector<std::unique_ptr<Communicator::Request>> requests;
};

class CardCommunicatorTest : public ::testing::Test {
 protected:
  CardCommunicatorTest() { testing::reset_fake_cuda(); }
};

TEST_F(CardCommunicatorTest, SumsInTheTreeForAnyNumberOfRanksAndElements) {
  for (const int count : {1, 2, 3, 4, 7})
    for (const int64_t n : {0, 1, 15, 16, 1000}) {
      SCOPED_TRACE(fmt::format("{} ranks, {} elements", count, n));
      Ranks ranks(count, n);
      ranks.prepare(ops::ReduceOp::kSum);
      for (int round = 0; round < 3; ++round) {
        ranks.fill();
        ranks.reduce();
        for (size_t r = 0; r < ranks.ends.size(); ++r)
          for (int64_t i = 0; i < n; ++i) ASSERT_EQ(ranks.data(r)[i], ranks.sum(i)) << r;
      }
    }
}

TEST_F(CardCommunicatorTest, AMeanDividesByReplicas) {
  Ranks ranks(3, 40, 5);
  ranks.prepare(ops::ReduceOp::kMean);
  ranks.fill();
  ranks.reduce();
  for (size_t r = 0; r < 3; ++r)
    for (int64_t i = 0; i < 40; ++i) ASSERT_EQ(ranks.data(r)[i], ranks.sum(i) / 5);
}

TEST_F(CardCommunicatorTest, MaximaAndMinimaAreFound) {
  for (const ops::ReduceOp op : {ops::ReduceOp::kMax, ops::ReduceOp::kMin}) {
    Ranks ranks(4, 20);
    ranks.prepare(op);
    ranks.fill();
    ranks.reduce();
    for (int64_t i = 0; i < 20; ++i)
      ASSERT_EQ(ranks.data(2)[i], Ranks::number(op == ops::ReduceOp::kMax ? 0 : 3, i));
  }
}

TEST_F(CardCommunicatorTest, AScatteredSumHasTheBitsOfTheWhole) {
  for (const int count : {1, 2, 3, 4}) {
    const int64_t each = 5;
    Ranks ranks(count, each * count);
    ranks.prepare({.kind = CollectiveKind::kReduceScatter});
    ranks.fill();
    ranks.reduce();
    for (int r = 0; r < count; ++r) {
      for (int64_t i = r * each; i < (r + 1) * each; ++i)
        ASSERT_EQ(ranks.data(static_cast<size_t>(r))[i], ranks.sum(i)) << r << " of " << count;
      const CommunicatorStats stats = ranks.ends[static_cast<size_t>(r)]->stats();
      EXPECT_EQ(stats[CollectiveKind::kReduceScatter].payload_bytes,
                static_cast<size_t>(each * (count - 1)) * sizeof(float));
    }
  }
}

TEST_F(CardCommunicatorTest, EveryRankGetsWhatTheRootHas) {
  Ranks ranks(3, 20);
  ranks.prepare({.kind = CollectiveKind::kBroadcast, .root = 1});
  ranks.fill();
  ranks.reduce();
  for (size_t r = 0; r < 3; ++r)
    for (int64_t i = 0; i < 20; ++i) ASSERT_EQ(ranks.data(r)[i], Ranks::number(1, i));
}

TEST_F(CardCommunicatorTest, GathersPartsOfUnequalSizes) {
  Ranks ranks(3, 60);
  Ranks& all = ranks;
  std::vector<std::shared_ptr<void>> inputs;
  std::vector<std::unique_ptr<void*>> slots;
  const std::vector<size_t> counts = {20, 0, 7};
  for (size_t r = 0; r < 3; ++r) {
    inputs.push_back(ranks.devices[r]->allocate(counts[r] * sizeof(float)));
    slots.push_back(std::make_unique<void*>(inputs[r].get()));
    for (size_t i = 0; i < counts[r]; ++i)
      static_cast<float*>(inputs[r].get())[i] = static_cast<float>(100 * r + i);
    ranks.requests.push_back(ranks.ends[r]->prepare({.kind = CollectiveKind::kAllGather,
                                                     .count = static_cast<int64_t>(counts[r]),
                                                     .buffer = slots[r].get(),
                                                     .output = ranks.slots[r].get()}));
  }
  all.reduce();
  for (size_t r = 0; r < 3; ++r) {
    EXPECT_EQ(ranks.data(r)[0], 0.f);
    EXPECT_EQ(ranks.data(r)[19], 19.f);
    EXPECT_EQ(ranks.data(r)[20], 200.f);
    EXPECT_EQ(ranks.data(r)[26], 206.f);
    EXPECT_EQ(ranks.data(r)[27], 0.f);
  }
}

TEST_F(CardCommunicatorTest, RanksMeetBetweenTheGraphsOfARecording) {
  Ranks ranks(2, 8);
  ranks.prepare(ops::ReduceOp::kSum);
  std::vector<std::unique_ptr<Device::Recording>> recordings(2);
  const auto errors = ranks.run([&](size_t r) {
    ASSERT_TRUE(ranks.devices[r]->begin_recording());
    ranks.requests[r]->start();
    ranks.requests[r]->wait();
    recordings[r] = ranks.devices[r]->end_recording();
  });
  EXPECT_FALSE(errors[0] || errors[1]);
  for (int replay = 1; replay <= 3; ++replay) {
    ranks.fill();
    (void)ranks.run([&](size_t r) { recordings[r]->replay(); });
    EXPECT_EQ(fake_cuda().graph_launches, replay * 2 * 3);
    for (size_t r = 0; r < 2; ++r) EXPECT_EQ(ranks.data(r)[5], ranks.sum(5));
  }
}

TEST_F(CardCommunicatorTest, NothingIsLaunchedWhereNothingWasCaptured) {
  fake_cuda().graph_nodes = 0;
  CudaDevice device(0);
  int calls = 0;
  ASSERT_TRUE(device.begin_recording());
  device.between_kernels([&] { ++calls; });
  const auto recording = device.end_recording();
  EXPECT_EQ(calls, 0);
  recording->replay();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(fake_cuda().graph_launches, 0);
  device.between_kernels([&] { ++calls; });
  EXPECT_EQ(calls, 2);
}

TEST_F(CardCommunicatorTest, AnAbortEndsEveryWaitAndAResetGroupIsUsedAgain) {
  Ranks ranks(3, 8);
  ranks.prepare(ops::ReduceOp::kSum);
  const auto errors = ranks.run([&](size_t r) {
    ranks.requests[r]->start();
    if (r == 2) ranks.ends[2]->abort(Unavailable("rank 2 gives up"));
    ranks.requests[r]->wait();
    if (r == 2) throw Internal("rank 2 has left");
  });
  for (const size_t r : {0, 1, 2}) {
    ASSERT_TRUE(errors[r]) << r;
    EXPECT_EQ(errors[r]->code(), Code::kUnavailable) << errors[r]->what();
  }
  expect_error(Code::kUnavailable, {"rank 2 gives up"}, [&] { ranks.requests[0]->start(); });
  ASSERT_TRUE(ranks.ends[0]->reset());
  ranks.fill();
  ranks.reduce();
  EXPECT_EQ(ranks.data(1)[3], ranks.sum(3));
}

TEST_F(CardCommunicatorTest, ASilentRankEndsAWaitAtTheDeadline) {
  Ranks ranks(2, 8, 2, milliseconds(100));
  ranks.prepare(ops::ReduceOp::kSum);
  ranks.devices[0]->bind_thread();
  ranks.requests[0]->start();
  expect_error(Code::kDeadlineExceeded, {"all_reduce", "rank 0 of 2", "nothing from rank 1"},
               [&] { ranks.requests[0]->wait(); });
}

TEST_F(CardCommunicatorTest, AFaultOfOneIsReadByAll) {
  Ranks ranks(2, 8);
  auto& second = static_cast<CudaDevice&>(*ranks.devices[1]);
  second.faults().device()->site =
      second.faults().add_site(Code::kInvalidArgument, "a label of {got}");
  second.faults().device()->got = 99;
  static_cast<CudaDevice&>(*ranks.devices[0]).faults().device()->site = Fault::kElsewhere;
  expect_error(Code::kInvalidArgument, {"a label of 99"}, [&] { ranks.devices[0]->synchronize(); });
}

TEST_F(CardCommunicatorTest, WhatIsNoNumberIsRefused) {
  Ranks ranks(2, 8);
  expect_error(Code::kInvalidArgument, {"bool"}, [&] {
    (void)ranks.ends[0]->prepare(
        {.dtype = DType::kBool, .count = 8, .buffer = ranks.slots[0].get()});
  });
}

TEST_F(CardCommunicatorTest, AMixtureOfSharedAndOwnCardsIsRefused) {
  fake_cuda().devices.resize(2);
  CudaDevice first({.ordinal = 0, .index = 0}), second({.ordinal = 0, .index = 1});
  CudaDevice third({.ordinal = 1, .index = 2});
  Device* const all[] = {&first, &second, &third};
  EXPECT_TRUE(on_one_card(std::span(all).first(2)));
  EXPECT_FALSE(on_one_card(std::span(all).subspan(1)));
  EXPECT_FALSE(on_one_card(std::span(all).first(1)));
  expect_error(Code::kInvalidArgument, {"gpu:0 on card 0, gpu:1 on card 0, gpu:2 on card 1"},
               [&] { (void)on_one_card(all); });
}

}  // namespace
}  // namespace cohort::cuda
