#include "distribute/process_group.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "distribute/in_process_communicator.h"
#include "distribute/transport/file_descriptor.h"
#include "distribute/transport/frame.h"
#include "tests/distribute/group_harness.h"
#include "tests/support/expect_error.h"
#include "tests/support/thread_allocations.h"

namespace cohort::distribute {
namespace {

/// Inexact in every floating dtype, so that the order of additions shows.
template <class T>
T value_of(int rank, int64_t i, int round) {
  const auto mixed = static_cast<uint64_t>(i * 7919 + rank * 104729 + round * 31) * 2654435761u;
  return static_cast<T>(static_cast<float>(mixed >> 8 & 0xfff) / 7.0f);
}

/// Results of the in-process communicator: all rounds of rank 0, one after the other.
template <class T>
std::vector<T> in_process_sums(const std::vector<int>& block_sizes, int64_t n, ops::ReduceOp op,
                               int rounds) {
  const auto ranks = make_in_process_communicators({.block_sizes = block_sizes});
  std::vector<std::vector<T>> values(ranks.size(), std::vector<T>(static_cast<size_t>(n)));
  std::vector<void*> slots;
  std::vector<std::unique_ptr<Communicator::Request>> requests;
  for (auto& v : values) slots.push_back(v.data());
  for (size_t r = 0; r < ranks.size(); ++r)
    requests.push_back(ranks[r]->prepare_all_reduce(&slots[r], dtype_of<T>(), n, op));
  std::vector<T> results;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::thread> threads;
    for (size_t r = 0; r < ranks.size(); ++r)
      threads.emplace_back([&, r] {
        for (int64_t i = 0; i < n; ++i)
          values[r][static_cast<size_t>(i)] = value_of<T>(static_cast<int>(r), i, round);
        requests[r]->start();
        requests[r]->wait();
      });
    for (std::thread& thread : threads) thread.join();
    results.insert(results.end(), values[0].begin(), values[0].end());
  }
  return results;
}

enum class Memory { kBucket, kPrivate };

/// Every rank's results have the bits of the in-process communicator.
template <class T>
void expect_same_bits(const ProcessGroupOptions& group, int64_t n, Memory memory,
                      ops::ReduceOp op = ops::ReduceOp::kSum) {
  constexpr int kRounds = 3;
  const std::vector<T> want = in_process_sums<T>(group.block_sizes, n, op, kRounds);
  SCOPED_TRACE(std::to_string(group.block_sizes.size()) + " ranks, " + std::to_string(n) + " " +
               std::string(dtype_name(dtype_of<T>())) +
               (memory == Memory::kBucket ? " in buckets" : " in private memory"));
  expect_no_errors(run_ranks(group, [&](Communicator& rank) {
    const size_t bytes = static_cast<size_t>(n) * sizeof(T);
    std::vector<T> own(static_cast<size_t>(n));
    std::shared_ptr<void> bucket;
    void* data = own.data();
    if (memory == Memory::kBucket) data = (bucket = rank.allocate_bucket(bytes)).get();
    const auto request = rank.prepare_all_reduce(&data, dtype_of<T>(), n, op);
    for (int round = 0; round < kRounds; ++round) {
      T* values = static_cast<T*>(data);
      for (int64_t i = 0; i < n; ++i) values[i] = value_of<T>(rank.rank(), i, round);
      request->start();
      request->wait();
      if (bytes > 0 && std::memcmp(values, want.data() + round * n, bytes) != 0)
        throw Internal("round {}: other bits than in one process", round);
    }
  }));
}

class ProcessGroupConcurrentTopologyTest : public ::testing::TestWithParam<NamedTopology> {
 protected:
  template <class T>
  void expect_same_bits_everywhere(std::initializer_list<int64_t> sizes) {
    for (const int ranks : {1, 2, 3, 4, 7})
      for (const int64_t n : sizes)
        for (const Memory memory : {Memory::kBucket, Memory::kPrivate})
          expect_same_bits<T>(GetParam().make(ranks), n, memory);
  }
};

INSTANTIATE_TEST_SUITE_P(Of, ProcessGroupConcurrentTopologyTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST_P(ProcessGroupConcurrentTopologyTest, SumsFloatsWithTheBitsOfOneProcess) {
  expect_same_bits_everywhere<float>({0, 1, 10, 1000, 5000, 1 << 20});
}

TEST_P(ProcessGroupConcurrentTopologyTest, SumsEveryDtypeWithTheBitsOfOneProcess) {
  expect_same_bits_everywhere<double>({1, 10, 1000, 5000, 100000});
  expect_same_bits_everywhere<Half>({1, 10, 1000, 9000, 100000});
  expect_same_bits_everywhere<BFloat16>({1, 10, 1000, 9000, 100000});
  expect_same_bits_everywhere<int32_t>({1, 10, 1000, 5000, 100000});
  expect_same_bits_everywhere<int64_t>({1, 10, 1000, 5000, 100000});
}

TEST_P(ProcessGroupConcurrentTopologyTest, TakesTheGreatestAndTheLeast) {
  for (const ops::ReduceOp op : {ops::ReduceOp::kMax, ops::ReduceOp::kMin})
    for (const int64_t n : {1, 1000, 70000})
      for (const Memory memory : {Memory::kBucket, Memory::kPrivate}) {
        expect_same_bits<float>(GetParam().make(4), n, memory, op);
        expect_same_bits<int64_t>(GetParam().make(3), n, memory, op);
        expect_same_bits<BFloat16>(GetParam().make(2), n, memory, op);
      }
}

TEST_P(ProcessGroupConcurrentTopologyTest, BlocksOfUnequalSizeFixTheTree) {
  for (const std::vector<int>& blocks :
       {std::vector<int>{2, 1}, {4, 2, 1}, {1, 1, 2, 4}, {2, 2, 1, 1}, {1, 1, 1, 1, 1, 1}}) {
    ProcessGroupOptions group = GetParam().make(static_cast<int>(blocks.size()));
    group.block_sizes = blocks;
    for (const int64_t n : {3, 1000, 70000}) expect_same_bits<float>(group, n, Memory::kBucket);
  }
}

TEST_P(ProcessGroupConcurrentTopologyTest, SeveralRanksInAProcess) {
  ProcessGroupOptions group = GetParam().make(4);
  group.process_of = {0, 0, 1, 1};
  group.host_of.resize(2);
  for (const int64_t n : {3, 1000, 70000})
    for (const Memory memory : {Memory::kBucket, Memory::kPrivate})
      expect_same_bits<float>(group, n, memory);
}

TEST_P(ProcessGroupConcurrentTopologyTest, AMeanDividesByTheReplicas) {
  ProcessGroupOptions group = GetParam().make(3);
  group.block_sizes = {2, 1, 1};
  for (const size_t n : {size_t{1}, size_t{1000}, size_t{70000}})
    expect_no_errors(run_ranks(group, [&](Communicator& rank) {
      std::vector<float> values(n, static_cast<float>(rank.rank() + 1));
      void* data = values.data();
      const auto request = rank.prepare_all_reduce(&data, DType::kF32, static_cast<int64_t>(n),
                                                   ops::ReduceOp::kMean);
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
      const auto request = rank.prepare_all_gather(&input, mine.size() * sizeof(int32_t), &output);
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
          requests.push_back(rank.prepare_all_reduce(&data[i], DType::kF32, static_cast<int64_t>(n),
                                                     ops::ReduceOp::kSum));
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
    const auto request = rank.prepare_all_reduce(&data, DType::kF32, kCount, ops::ReduceOp::kSum);
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
      const auto request =
          rank.prepare_all_reduce(&data, DType::kF32, static_cast<int64_t>(n), ops::ReduceOp::kSum);
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
        const auto request = rank.prepare_all_reduce(&data, DType::kF32, n, ops::ReduceOp::kSum);
        int64_t before = 0;
        for (int call = 0; call < 5; ++call) {
          if (call == 1) before = test::thread_allocations();
          request->start();
          request->wait();
        }
        if (test::thread_allocations() != before) throw Internal("allocated for {} elements", n);
      }
    }
  }));
}

TEST_P(ProcessGroupConcurrentTopologyTest, ASilentRankIsNamedWhenTheTimeIsUp) {
  for (const int64_t n : {1, 100000}) {
    ProcessGroupOptions group = GetParam().make(3);
    group.timeout = std::chrono::milliseconds(1500);
    std::atomic<int> ended{0};
    const auto errors = run_ranks(group, [&](Communicator& rank) {
      const auto memory = rank.allocate_bucket(static_cast<size_t>(n) * 4);
      void* data = memory.get();
      const auto request = rank.prepare_all_reduce(&data, DType::kF32, n, ops::ReduceOp::kSum);
      if (rank.rank() == 1) {
        while (ended < 2) std::this_thread::yield();
        return;
      }
      struct Count {
        std::atomic<int>& ended;
        ~Count() { ++ended; }
      } const count{ended};
      request->start();
      request->wait();
    });
    for (const size_t rank : {size_t{0}, size_t{2}}) {
      ASSERT_TRUE(errors[rank]);
      EXPECT_EQ(errors[rank]->code(), Code::kDeadlineExceeded);
      EXPECT_NE(std::string(errors[rank]->what()).find("rank 1 (process 1"), std::string::npos)
          << errors[rank]->what();
    }
  }
}

TEST_P(ProcessGroupConcurrentTopologyTest, AbortEndsEveryWaitAndLaterCalls) {
  const auto errors = run_ranks(GetParam().make(3), [](Communicator& rank) {
    const auto memory = rank.allocate_bucket(64);
    void* data = memory.get();
    const auto request = rank.prepare_all_reduce(&data, DType::kF32, 16, ops::ReduceOp::kSum);
    if (rank.rank() == 1) {
      rank.abort(Unavailable("peer down"));
    } else {
      testing::expect_error(Code::kUnavailable, {"peer down"}, [&] {
        request->start();
        request->wait();
      });
    }
    request->start();
    request->wait();
  });
  for (const auto& error : errors) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::kUnavailable);
    EXPECT_STREQ(error->what(), "peer down");
  }
}

TEST_P(ProcessGroupConcurrentTopologyTest, DifferentCallsAreAnErrorOnEveryRank) {
  const auto errors = run_ranks(GetParam().make(3), [](Communicator& rank) {
    const auto memory = rank.allocate_bucket(4000);
    void* data = memory.get();
    const auto request = rank.prepare_all_reduce(&data, DType::kF32, rank.rank() == 2 ? 999 : 1000,
                                                 ops::ReduceOp::kSum);
    request->start();
    request->wait();
  });
  for (const auto& error : errors) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::kInvalidArgument);
    EXPECT_NE(std::string(error->what()).find("of 999 float32"), std::string::npos)
        << error->what();
  }
}

TEST(ProcessGroupConcurrentTest, AMissingProcessIsNamed) {
  ProcessGroupOptions options = group_of(3);
  cluster::LocalKeyValueStore store;
  options.store = &store;
  options.timeout = std::chrono::milliseconds(50);
  testing::expect_error(Code::kDeadlineExceeded, {"process 1", "process 2"},
                        [&] { make_process_communicators(options); });
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
  refuse("int32", [](auto& o) { o.gradient_dtype = DType::kI32; });
}

// --- real processes ------------------------------------------------------------------------------

/// Without those of Open MPI, of whose programs others may be running.
std::vector<std::string> shared_memory_entries() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    if (const std::string name = entry.path().filename(); !name.starts_with("vader_segment"))
      names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

TEST(ProcessGroupForkTest, ProcessesAddWithTheBitsOfOneProcess) {
  for (const int64_t n : {10, 1000, 1 << 20}) {
    const std::vector<float> want = in_process_sums<float>({1, 1, 1}, n, ops::ReduceOp::kSum, 1);
    const auto ended = run_processes(group_of(3), [&](Communicator& rank) {
      const auto bucket = rank.allocate_bucket(static_cast<size_t>(n) * 4);
      void* data = bucket.get();
      const auto request = rank.prepare_all_reduce(&data, DType::kF32, n, ops::ReduceOp::kSum);
      for (int64_t i = 0; i < n; ++i)
        static_cast<float*>(data)[i] = value_of<float>(rank.rank(), i, 0);
      request->start();
      request->wait();
      if (std::memcmp(data, want.data(), static_cast<size_t>(n) * 4) != 0)
        throw Internal("other bits than in one process");
    });
    for (const Ended& process : ended) {
      EXPECT_EQ(process.status, 0);
      EXPECT_FALSE(process.error) << process.error->what();
    }
  }
}

/// Sums in a loop until the group fails; `victim` kills itself inside a collective.
void expect_victim_is_named(const ProcessGroupOptions& group, int victim, int64_t n,
                            bool in_bucket) {
  SCOPED_TRACE(std::to_string(n) + " elements, rank " + std::to_string(victim));
  const auto ended = run_processes(group, [&](Communicator& rank) {
    std::vector<float> own(static_cast<size_t>(n));
    const auto bucket = rank.allocate_bucket(own.size() * sizeof(float));
    void* data = in_bucket ? bucket.get() : own.data();
    const auto request = rank.prepare_all_reduce(&data, DType::kF32, n, ops::ReduceOp::kSum);
    for (int call = 0;; ++call) {
      request->start();
      if (rank.rank() == victim && call == 50) raise(SIGKILL);
      request->wait();
    }
  });
  const std::string name = "rank " + std::to_string(victim) + " (process " + std::to_string(victim);
  for (size_t rank = 0; rank < ended.size(); ++rank) {
    if (static_cast<int>(rank) == victim) {
      EXPECT_TRUE(WIFSIGNALED(ended[rank].status));
      continue;
    }
    ASSERT_TRUE(ended[rank].error);
    EXPECT_EQ(ended[rank].error->code(), Code::kUnavailable);
    EXPECT_NE(std::string(ended[rank].error->what()).find(name), std::string::npos)
        << ended[rank].error->what();
  }
}

TEST(ProcessGroupForkTest, AKilledProcessIsNamedByTheOthersAndLeavesNothing) {
  const auto before = shared_memory_entries();
  for (const int64_t n : {1, 1000, 100000})
    for (const bool in_bucket : {false, true})
      expect_victim_is_named(shared_memory(3), 1, n, in_bucket);
  for (const int64_t n : {1, 100000}) {
    expect_victim_is_named(tcp(3), 1, n, false);
    for (const int victim : {0, 1, 3}) expect_victim_is_named(hosts_of_two(4), victim, n, true);
  }
  EXPECT_EQ(shared_memory_entries(), before);
}

// --- the network ---------------------------------------------------------------------------------

TEST(ProcessGroupConcurrentTest, TheNetworkCarriesTheLeastBytes) {
  for (const int size : {2, 3, 4}) {
    expect_no_errors(run_ranks(tcp(size), [&](Communicator& rank) {
      const int64_t n = int64_t{size} << 16;  // whole lines for every owner
      std::vector<float> values(static_cast<size_t>(n));
      void* data = values.data();
      const auto request = rank.prepare_all_reduce(&data, DType::kF32, n, ops::ReduceOp::kSum);
      request->start();
      request->wait();
      const NetworkTraffic before = network_traffic(rank);
      for (int call = 0; call < 3; ++call) {
        request->start();
        request->wait();
      }
      const NetworkTraffic after = network_traffic(rank);
      const auto least = static_cast<uint64_t>(3 * 2 * (size - 1) * n * 4 / size);
      if (after.payload_bytes - before.payload_bytes != least)
        throw Internal("sent {} bytes; want {}", after.payload_bytes - before.payload_bytes, least);
      if ((after.frames - before.frames) * 32 > least / 1000) throw Internal("too many frames");
    }));
  }
}

/// What the definition of ProcessGroupOptions::gradient_dtype says, in a plain loop: one rank of
/// one replica on each of `size` hosts.
template <class T>
float rounded_sum(int size, int64_t i) {
  std::vector<float> parts;
  for (int rank = 0; rank < size; ++rank)
    parts.push_back(static_cast<float>(T(value_of<float>(rank, i, 0) - 250)));
  for (int step = 1; step < size; step *= 2)
    for (int at = 0; at + step < size; at += 2 * step)
      parts[static_cast<size_t>(at)] += parts[static_cast<size_t>(at + step)];
  return static_cast<float>(T(parts[0]));
}

template <class T>
void expect_rounded_sums(int size, int64_t n) {
  SCOPED_TRACE(std::to_string(size) + " ranks, " + std::to_string(n) + " as " +
               std::string(dtype_name(dtype_of<T>())));
  ProcessGroupOptions group = tcp(size);
  group.gradient_dtype = dtype_of<T>();
  expect_no_errors(run_ranks(group, [&](Communicator& rank) {
    const auto bucket = rank.allocate_bucket(static_cast<size_t>(n) * 4);
    auto* values = static_cast<float*>(bucket.get());
    void* data = values;
    const auto request = rank.prepare_gradient_sum(&data, n);
    for (int call = 0; call < 3; ++call) {
      for (int64_t i = 0; i < n; ++i) values[i] = value_of<float>(rank.rank(), i, 0) - 250;
      request->start();
      request->wait();
      for (int64_t i = 0; i < n; ++i)
        if (const float want = rounded_sum<T>(size, i); values[i] != want)
          throw Internal("element {}: got {}; want {}", i, values[i], want);
    }
  }));
}

TEST(ProcessGroupConcurrentTest, GradientsTravelInAHalfTypeAndEndWithEqualBits) {
  for (const int size : {2, 3, 4})
    for (const int64_t n : {0, 1, 10, 1001, 70001, 300000}) {
      expect_rounded_sums<BFloat16>(size, n);
      expect_rounded_sums<Half>(size, n);
    }
}

TEST(ProcessGroupConcurrentTest, RoundedSumsOfSeveralRanksPerHostAreCloseAndEqual) {
  for (const auto& [dtype, epsilon] : {std::pair(DType::kBF16, 0x1p-8), {DType::kF16, 0x1p-11}})
    for (const NamedTopology& topology : kTopologies)
      for (const int64_t n : {10, 70001}) {
        SCOPED_TRACE(topology.name);
        ProcessGroupOptions group = topology.make(4);
        group.gradient_dtype = dtype;
        std::vector<std::vector<float>> results(4, std::vector<float>(static_cast<size_t>(n)));
        expect_no_errors(run_ranks(group, [&](Communicator& rank) {
          void* data = results[static_cast<size_t>(rank.rank())].data();
          const auto request = rank.prepare_gradient_sum(&data, n);
          for (int64_t i = 0; i < n; ++i)
            static_cast<float*>(data)[i] = value_of<float>(rank.rank(), i, 0);
          request->start();
          request->wait();
        }));
        for (int64_t i = 0; i < n; ++i) {
          const auto at = static_cast<size_t>(i);
          double exact = 0;
          for (int rank = 0; rank < 4; ++rank) exact += value_of<float>(rank, i, 0);
          EXPECT_NEAR(results[0][at], exact, 2.01 * epsilon * exact);
          for (size_t rank = 1; rank < 4; ++rank) EXPECT_EQ(results[rank][at], results[0][at]);
        }
      }
}

TEST(ProcessGroupConcurrentTest, AHalfTypeHalvesTheBytesAndLeavesOtherCollectivesAlone) {
  ProcessGroupOptions group = tcp(4);
  group.gradient_dtype = DType::kBF16;
  expect_no_errors(run_ranks(group, [&](Communicator& rank) {
    const int64_t n = 1 << 18;
    std::vector<float> values(static_cast<size_t>(n), 1.00390625f);  // no bfloat16
    void* data = values.data();
    const auto plain = rank.prepare_all_reduce(&data, DType::kF32, n, ops::ReduceOp::kSum);
    const auto rounded = rank.prepare_gradient_sum(&data, n);
    const auto bytes_of = [&](Communicator::Request& request) {
      const NetworkTraffic before = network_traffic(rank);
      request.start();
      request.wait();
      return network_traffic(rank).payload_bytes - before.payload_bytes;
    };
    rounded->start();  // both are described to the others
    rounded->wait();
    std::fill(values.begin(), values.end(), 1.00390625f);
    if (bytes_of(*plain) != 2 * 3 * n) throw Internal("other bytes than the least");
    if (values[7] != 4 * 1.00390625f) throw Internal("got {}; want the exact sum", values[7]);
    if (bytes_of(*rounded) != 3 * n) throw Internal("other bytes than half of them");
  }));
}

TEST(ProcessGroupConcurrentTest, RanksThatRoundOtherwiseAreNamed) {
  cluster::LocalKeyValueStore store;
  std::vector<std::optional<Error>> errors(2);
  std::vector<std::thread> threads;
  for (int process = 0; process < 2; ++process)
    threads.emplace_back([&, process] {
      try {
        ProcessGroupOptions group = tcp(2);
        group.store = &store;
        group.process = process;
        if (process == 1) group.gradient_dtype = DType::kBF16;
        const auto ranks = make_process_communicators(group);
        float value = 0;
        void* data = &value;
        const auto request = ranks[0]->prepare_gradient_sum(&data, 1);
        request->start();
        request->wait();
      } catch (const Error& error) {
        errors[static_cast<size_t>(process)] = error;
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const auto& error : errors) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::kInvalidArgument);
    EXPECT_NE(std::string(error->what()).find("sent as bfloat16 on rank 1"), std::string::npos)
        << error->what();
  }
}

FileDescriptor connect_to(const std::string& port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  FileDescriptor fd(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  return fd;
}

TEST(ProcessGroupConcurrentTest, StrangersOnThePortDoNoHarm) {
  cluster::LocalKeyValueStore store;
  ProcessGroupOptions options = tcp(2);
  options.store = &store;
  const auto sum = [&](int process) {
    ProcessGroupOptions mine = options;
    mine.process = process;
    const auto ranks = make_process_communicators(mine);
    std::vector<float> values(100000, 1.0f);
    void* data = values.data();
    const auto request =
        ranks[0]->prepare_all_reduce(&data, DType::kF32, 100000, ops::ReduceOp::kSum);
    request->start();
    request->wait();
    EXPECT_EQ(values[99999], 2.0f);
  };
  std::thread first([&] { sum(0); });
  const std::string card = store.get("test/tcp/0", std::chrono::seconds(20));
  const std::string port = card.substr(33, card.find(' ', 33) - 33);
  const FileDescriptor silent = connect_to(port), closed = connect_to(port);
  ASSERT_TRUE(silent);
  std::vector<FileDescriptor> strangers;
  std::mt19937 random(7);
  for (const size_t bytes : {1, 47, 48, 49, 100000}) {
    strangers.push_back(connect_to(port));
    std::string garbage(bytes, ' ');
    for (char& c : garbage) c = static_cast<char>(random());
    send(strangers.back().get(), garbage.data(), garbage.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  for (const int node : {-1, 0, 1, 2, 1 << 30}) {  // the right form without the secret
    strangers.push_back(connect_to(port));
    const Greeting greeting{.node = node, .num_nodes = 2};
    send(strangers.back().get(), &greeting, sizeof greeting, MSG_NOSIGNAL);
  }
  sum(1);
  first.join();
  EXPECT_FALSE(connect_to(port)) << "the port is open when the group stands";
}

}  // namespace
}  // namespace cohort::distribute
