#include "cohort/distribute/process_group.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>

#include "cohort/distribute/in_process_communicator.h"
#include "tests/distribute/group_harness.h"
#include "tests/support/expect_error.h"
#include "tests/support/thread_allocations.h"

namespace cohort::distribute {
namespace {

constexpr int kRounds = 3;

/// What the ranks add up in each round, and the results of the in-process communicator. Made once
/// for all groups that are compared with it: making it is most of the work.
template <class T>
struct Sums {
  std::vector<int> block_sizes;
  ops::ReduceOp op;
  std::vector<std::vector<T>> values[kRounds];  ///< of each rank
  std::vector<T> want[kRounds];

  size_t bytes() const { return want[0].size() * sizeof(T); }
};

template <class T>
Sums<T> make_sums(const std::vector<int>& block_sizes, int64_t n,
                  ops::ReduceOp op = ops::ReduceOp::kSum) {
  Sums<T> sums{.block_sizes = block_sizes, .op = op};
  const auto ranks = make_in_process_communicators({.block_sizes = block_sizes});
  std::vector<std::vector<T>> buffers(ranks.size(), std::vector<T>(static_cast<size_t>(n)));
  std::vector<void*> slots;
  std::vector<std::unique_ptr<Communicator::Request>> requests;
  for (auto& buffer : buffers) slots.push_back(buffer.data());
  for (size_t r = 0; r < ranks.size(); ++r)
    requests.push_back(
        ranks[r]->prepare({.dtype = dtype_of<T>(), .count = n, .op = op, .buffer = &slots[r]}));
  for (int round = 0; round < kRounds; ++round) {
    for (size_t r = 0; r < ranks.size(); ++r)
      for (int64_t i = 0; i < n; ++i)
        buffers[r][static_cast<size_t>(i)] = value_of<T>(static_cast<int>(r), i, round);
    sums.values[round] = buffers;
    std::vector<std::thread> threads;
    for (const auto& request : requests)
      threads.emplace_back([&request] {
        request->start();
        request->wait();
      });
    for (std::thread& thread : threads) thread.join();
    sums.want[round] = buffers[0];
  }
  return sums;
}

enum class Memory { kBucket, kPrivate };

/// Every rank's results have the bits of the in-process communicator.
template <class T>
void expect_same_bits(const ProcessGroupOptions& group, const Sums<T>& sums, Memory memory) {
  const size_t n = sums.want[0].size(), bytes = sums.bytes();
  SCOPED_TRACE(std::to_string(group.block_sizes.size()) + " ranks, " + std::to_string(n) + " " +
               std::string(dtype_name(dtype_of<T>())) +
               (memory == Memory::kBucket ? " in buckets" : " in private memory"));
  ASSERT_EQ(group.block_sizes, sums.block_sizes);
  expect_no_errors(run_ranks(group, [&](Communicator& rank) {
    std::vector<T> own(n);
    std::shared_ptr<void> bucket;
    void* data = own.data();
    if (memory == Memory::kBucket) data = (bucket = rank.allocate_bucket(bytes)).get();
    const auto request = rank.prepare(
        {.dtype = dtype_of<T>(), .count = static_cast<int64_t>(n), .op = sums.op, .buffer = &data});
    for (int round = 0; round < kRounds; ++round) {
      const std::vector<T>& values = sums.values[round][static_cast<size_t>(rank.rank())];
      if (n > 0) std::memcpy(data, values.data(), bytes);
      request->start();
      request->wait();
      if (n > 0 && std::memcmp(data, sums.want[round].data(), bytes) != 0)
        throw Internal("round {}: other bits than in one process", round);
    }
  }));
}

template <class T>
void expect_same_bits(const ProcessGroupOptions& group, int64_t n,
                      ops::ReduceOp op = ops::ReduceOp::kSum) {
  const Sums<T> sums = make_sums<T>(group.block_sizes, n, op);
  for (const Memory memory : {Memory::kBucket, Memory::kPrivate})
    expect_same_bits<T>(group, sums, memory);
}

class ProcessGroupConcurrentTopologyTest : public ::testing::TestWithParam<NamedTopology> {
 protected:
  template <class T>
  void expect_same_bits_everywhere(std::initializer_list<int64_t> sizes) {
    for (const int ranks : {1, 2, 3, 4, 7})
      for (const int64_t n : sizes) expect_same_bits<T>(GetParam().make(ranks), n);
  }
};

INSTANTIATE_TEST_SUITE_P(Of, ProcessGroupConcurrentTopologyTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST_P(ProcessGroupConcurrentTopologyTest, SumsFloatsWithTheBitsOfOneProcess) {
  expect_same_bits_everywhere<float>({0, 1, 10, 1000, 5000, kManyElements});
}

TEST_P(ProcessGroupConcurrentTopologyTest, SumsEveryDtypeWithTheBitsOfOneProcess) {
  expect_same_bits_everywhere<double>({1, 10, 1000, 5000, kSomeElements});
  expect_same_bits_everywhere<Half>({1, 10, 1000, 9000, kSomeElements});
  expect_same_bits_everywhere<BFloat16>({1, 10, 1000, 9000, kSomeElements});
  expect_same_bits_everywhere<int32_t>({1, 10, 1000, 5000, kSomeElements});
  expect_same_bits_everywhere<int64_t>({1, 10, 1000, 5000, kSomeElements});
}

TEST_P(ProcessGroupConcurrentTopologyTest, TakesTheGreatestAndTheLeast) {
  for (const ops::ReduceOp op : {ops::ReduceOp::kMax, ops::ReduceOp::kMin})
    for (const int64_t n : {1, 1000, 70000}) {
      expect_same_bits<float>(GetParam().make(4), n, op);
      expect_same_bits<int64_t>(GetParam().make(3), n, op);
      expect_same_bits<BFloat16>(GetParam().make(2), n, op);
    }
}

TEST_P(ProcessGroupConcurrentTopologyTest, BlocksOfUnequalSizeFixTheTree) {
  for (const std::vector<int>& blocks :
       {std::vector<int>{2, 1}, {4, 2, 1}, {1, 1, 2, 4}, {2, 2, 1, 1}, {1, 1, 1, 1, 1, 1}}) {
    ProcessGroupOptions group = GetParam().make(static_cast<int>(blocks.size()));
    group.block_sizes = blocks;
    for (const int64_t n : {3, 1000, 70000})
      expect_same_bits<float>(group, make_sums<float>(blocks, n), Memory::kBucket);
  }
}

TEST_P(ProcessGroupConcurrentTopologyTest, SeveralRanksInAProcess) {
  ProcessGroupOptions group = GetParam().make(4);
  group.process_of = {0, 0, 1, 1};
  group.host_of.resize(2);
  for (const int64_t n : {3, 1000, 70000}) expect_same_bits<float>(group, n);
}

TEST_P(ProcessGroupConcurrentTopologyTest, AMeanDividesByTheReplicas) {
  ProcessGroupOptions group = GetParam().make(3);
  group.block_sizes = {2, 1, 1};
  for (const size_t n : {size_t{1}, size_t{1000}, size_t{70000}})
    expect_no_errors(run_ranks(group, [&](Communicator& rank) {
      std::vector<float> values(n, static_cast<float>(rank.rank() + 1));
      void* data = values.data();
      const auto request = rank.prepare(
          {.count = static_cast<int64_t>(n), .op = ops::ReduceOp::kMean, .buffer = &data});
      request->start();
      request->wait();
      for (const float value : values)
        if (value != 1.5f) throw Internal("got {}; want (1 + 2 + 3) / 4", value);
    }));
}

TEST_P(ProcessGroupConcurrentTopologyTest, GathersBlocksOfUnequalSize) {
  for (const size_t scale : {size_t{1}, size_t{3000}, size_t{1} << 18}) {
    expect_no_errors(run_ranks(GetParam().make(3), [&](Communicator& rank) {
      const auto r = static_cast<size_t>(rank.rank());
      std::vector<int32_t> mine(r * scale, rank.rank()), all(3 * scale, -1);
      void* input = mine.data();
      void* output = all.data();
      const auto request =
          rank.prepare({.kind = CollectiveKind::kAllGather,
                        .dtype = DType::kU8,
                        .count = static_cast<int64_t>(mine.size() * sizeof(int32_t)),
                        .buffer = &input,
                        .output = &output});
      for (int round = 0; round < 5; ++round) {
        std::fill(all.begin(), all.end(), -1);
        request->start();
        request->wait();
        for (size_t i = 0; i < all.size(); ++i)
          if (all[i] != (i < scale ? 1 : 2)) throw Internal("element {}: got {}", i, all[i]);
      }
    }));
  }
}

TEST_P(ProcessGroupConcurrentTopologyTest, RandomSizesInRandomOrderWithSeveralInFlight) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    for (const int size : {2, 4}) {
      expect_no_errors(run_ranks(GetParam().make(size), [&](Communicator& rank) {
        std::mt19937 random(seed);  // the same choices on every rank
        constexpr size_t kCount = 12;
        std::vector<std::vector<float>> own(kCount);
        std::vector<std::shared_ptr<void>> buckets(kCount);
        std::vector<void*> data(kCount);
        std::vector<std::unique_ptr<Communicator::Request>> requests;
        for (size_t i = 0; i < kCount; ++i) {
          const size_t n = random() % (size_t{1} << (random() % 17));
          own[i].resize(n);
          data[i] = own[i].data();
          if (random() % 2) data[i] = (buckets[i] = rank.allocate_bucket(n * 4)).get();
          requests.push_back(rank.prepare({.count = static_cast<int64_t>(n), .buffer = &data[i]}));
        }
        for (int step = 0; step < 20; ++step) {
          const size_t first = random() % kCount, count = random() % (kCount - first) + 1;
          for (size_t i = first; i < first + count; ++i) {
            std::fill_n(static_cast<float*>(data[i]), own[i].size(),
                        static_cast<float>(rank.rank() + step));
            requests[i]->start();
          }
          for (size_t i = first; i < first + count; ++i) {
            requests[i]->wait();
            const float want = static_cast<float>(size * (size - 1) / 2 + size * step);
            for (size_t e = 0; e < own[i].size(); ++e)
              if (static_cast<float*>(data[i])[e] != want) throw Internal("wrong sum");
          }
        }
      }));
    }
  }
}

TEST_P(ProcessGroupConcurrentTopologyTest, TheBufferMayMoveWithinBucketMemory) {
  expect_no_errors(run_ranks(GetParam().make(2), [](Communicator& rank) {
    constexpr int64_t kCount = 10000;
    const auto memory = rank.allocate_bucket(2 * kCount * sizeof(float));
    void* data = memory.get();
    const auto request = rank.prepare({.count = kCount, .buffer = &data});
    for (int round = 0; round < 4; ++round) {
      float* values = static_cast<float*>(memory.get()) + (round + rank.rank()) % 2 * kCount;
      data = values;
      std::fill_n(values, kCount, 1.0f);
      request->start();
      request->wait();
      for (int64_t i = 0; i < kCount; ++i)
        if (values[i] != 2.0f) throw Internal("round {}: wrong sum", round);
    }
  }));
}

TEST_P(ProcessGroupConcurrentTopologyTest, SomeRanksInBucketsAndOthersNot) {
  for (const size_t n : {size_t{10}, size_t{1000}, size_t{100000}})
    expect_no_errors(run_ranks(GetParam().make(3), [&](Communicator& rank) {
      std::vector<float> own(n);
      const auto bucket = rank.allocate_bucket(n * sizeof(float));
      void* data = rank.rank() == 1 ? own.data() : bucket.get();
      const auto request = rank.prepare({.count = static_cast<int64_t>(n), .buffer = &data});
      for (int round = 0; round < 5; ++round) {
        std::fill_n(static_cast<float*>(data), n, static_cast<float>(rank.rank() + round));
        request->start();
        request->wait();
        for (size_t i = 0; i < n; ++i)
          if (static_cast<float*>(data)[i] != static_cast<float>(3 + 3 * round))
            throw Internal("wrong sum");
      }
    }));
}

TEST_P(ProcessGroupConcurrentTopologyTest, ASteadyCallAllocatesNothing) {
  expect_no_errors(run_ranks(GetParam().make(2), [](Communicator& rank) {
    for (const int64_t n : {4, 1000, 100000}) {
      for (const bool in_bucket : {false, true}) {
        std::vector<float> own(static_cast<size_t>(n));
        const auto bucket = rank.allocate_bucket(static_cast<size_t>(n) * sizeof(float));
        void* data = in_bucket ? bucket.get() : own.data();
        const auto request = rank.prepare({.count = n, .buffer = &data});
        int64_t before = 0;
        for (int call = 0; call < 5; ++call) {
          if (call == 1) before = cohort::test::thread_allocations();
          // Long enough that the other rank looks around for what keeps this one.
          if (call == 3 && n == 4 && rank.rank() == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(120));
          request->start();
          request->wait();
        }
        if (cohort::test::thread_allocations() != before)
          throw Internal("allocated for {} elements", n);
      }
    }
  }));
}

TEST(ProcessGroupTest, RefusesContradictions) {
  cluster::LocalKeyValueStore store;
  const auto refuse = [&](std::string_view part, auto change) {
    ProcessGroupOptions options = group_of(2);
    options.store = &store;
    change(options);
    testing::expect_invalid({part}, [&] { make_process_communicators(options); });
  };
  refuse("block sizes", [](auto& o) { o.block_sizes.clear(); });
  refuse("0 replicas", [](auto& o) { o.block_sizes[1] = 0; });
  refuse("process 2", [](auto& o) { o.process_of[1] = 2; });
  refuse("no rank of process 1", [](auto& o) { o.process_of[1] = 0; });
  refuse("process 5", [](auto& o) { o.process = 5; });
  refuse("names", [](auto& o) { o.process_names = {"one"}; });
  refuse("store", [](auto& o) { o.store = nullptr; });
}

TEST(ProcessGroupForkTest, ProcessesAddWithTheBitsOfOneProcess) {
  for (const int64_t n : {10, 1000, 1 << 20}) {
    const Sums<float> sums = make_sums<float>({1, 1, 1}, n);
    const auto ended = run_processes(group_of(3), [&](Communicator& rank) {
      const auto bucket = rank.allocate_bucket(sums.bytes());
      void* data = bucket.get();
      const auto request = rank.prepare({.count = n, .buffer = &data});
      std::memcpy(data, sums.values[0][static_cast<size_t>(rank.rank())].data(), sums.bytes());
      request->start();
      request->wait();
      if (std::memcmp(data, sums.want[0].data(), sums.bytes()) != 0)
        throw Internal("other bits than in one process");
    });
    for (const Ended& process : ended) {
      EXPECT_EQ(process.status, 0);
      EXPECT_FALSE(process.error) << process.error->what();
    }
  }
}

}  // namespace
}  // namespace cohort::distribute
