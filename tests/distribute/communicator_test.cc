// What every transport does alike: kinds of collectives, their bytes, parts of groups.
#include "cohort/core/runtime/communicator.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>

#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/replica_tree.h"
#include "tests/distribute/carriers.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using ops::ReduceOp;
using testing::expect_error;
using testing::expect_invalid;

class CommunicatorConcurrentTest : public ::testing::TestWithParam<Carrier> {
 protected:
  void on_ranks(const Blocks& blocks, const Body& body) {
    expect_no_errors(GetParam().run(blocks, body));
  }
};

INSTANTIATE_TEST_SUITE_P(Of, CommunicatorConcurrentTest, ::testing::ValuesIn(kCarriers),
                         carrier_name);

/// The reduction by hand: the additions of the tree, one buffer after the other.
template <class T>
std::vector<T> reduced(const Blocks& blocks, int64_t count, ReduceOp op, int round) {
  std::vector<std::vector<T>> buffers(blocks.size(), std::vector<T>(static_cast<size_t>(count)));
  for (size_t r = 0; r < blocks.size(); ++r)
    for (int64_t i = 0; i < count; ++i)
      buffers[r][static_cast<size_t>(i)] = value_of<T>(static_cast<int>(r), i, round);
  for (const auto& [a, b] : combine_order(blocks))
    reduce_into(buffers[static_cast<size_t>(a)].data(), buffers[static_cast<size_t>(b)].data(),
                count, dtype_of<T>(), op);
  if (op == ReduceOp::kMean)
    divide_by(buffers[0].data(), count, dtype_of<T>(),
              std::accumulate(blocks.begin(), blocks.end(), int64_t{0}));
  return buffers[0];
}

template <class T>
void want_bits(const T* got, const T* want, int64_t count, const char* what) {
  if (count == 0 || std::memcmp(got, want, static_cast<size_t>(count) * sizeof(T)) == 0) return;
  for (int64_t i = 0; i < count; ++i)
    if (std::memcmp(got + i, want + i, sizeof(T)) != 0)
      throw Internal("{}: element {} of {}: got {}; want {}", what, i, count,
                     static_cast<double>(got[i]), static_cast<double>(want[i]));
}

/// A reduction has the bits of the one by hand, a scatter in its own range.
template <class T>
void expect_reductions(const Carrier& transport, const Blocks& blocks, int64_t count, ReduceOp op) {
  const auto n = static_cast<int64_t>(blocks.size());
  SCOPED_TRACE(fmt::format("{} ranks, {} {}, op {}", n, count, dtype_name(dtype_of<T>()),
                           static_cast<int>(op)));
  std::vector<std::vector<T>> want;
  for (int round = 0; round < 3; ++round) want.push_back(reduced<T>(blocks, count, op, round));
  expect_no_errors(transport.run(blocks, [&](Communicator& rank) {
    for (const CollectiveKind kind : {CollectiveKind::kAllReduce, CollectiveKind::kReduceScatter})
      for (const bool in_bucket : {true, false}) {
        const Buffer<T> buffer(rank, count, in_bucket);
        const auto request = rank.prepare({.kind = kind,
                                           .dtype = dtype_of<T>(),
                                           .count = count,
                                           .op = op,
                                           .buffer = &buffer.slot});
        for (int round = 0; round < 3; ++round) {
          for (int64_t i = 0; i < count; ++i) buffer.data()[i] = value_of<T>(rank.rank(), i, round);
          call(*request);
          const bool whole = kind == CollectiveKind::kAllReduce;
          const int64_t own = whole ? count : count / n, from = whole ? 0 : rank.rank() * own;
          want_bits(buffer.data() + from, want[static_cast<size_t>(round)].data() + from, own,
                    whole ? "all_reduce" : "reduce_scatter");
        }
      }
  }));
}

TEST_P(CommunicatorConcurrentTest, ReductionsHaveTheBitsOfTheTreeByHand) {
  for (const Blocks& blocks : {Blocks{1}, Blocks{1, 1}, Blocks{1, 1, 1}, Blocks{1, 1, 1, 1}}) {
    const auto n = static_cast<int64_t>(blocks.size());
    for (const int64_t each : {0, 1, 3, 333, 7001, 20011})
      expect_reductions<float>(GetParam(), blocks, each * n, ReduceOp::kSum);
    for (const int64_t each : {5, 7001}) {
      expect_reductions<double>(GetParam(), blocks, each * n, ReduceOp::kSum);
      expect_reductions<BFloat16>(GetParam(), blocks, each * n, ReduceOp::kSum);
      expect_reductions<int32_t>(GetParam(), blocks, each * n, ReduceOp::kMax);
    }
  }
}

// Two devices of which the first carries two replicas: thirds, not halves.
TEST_P(CommunicatorConcurrentTest, MeansDivideByLogicalReplicas) {
  for (const Blocks& blocks : {Blocks{2}, Blocks{2, 1}, Blocks{2, 1, 1}}) {
    const auto n = static_cast<int64_t>(blocks.size());
    for (const int64_t each : {2, 5000})
      expect_reductions<float>(GetParam(), blocks, each * n, ReduceOp::kMean);
  }
}

TEST_P(CommunicatorConcurrentTest, ARangeThatTravelsRoundedHasTheBitsOfTheRoundedSum) {
  for (const int size : {2, 3, 4})
    for (const int64_t each : {1, 30001})
      on_ranks(Blocks(static_cast<size_t>(size), 1), [&](Communicator& rank) {
        const int64_t count = each * size;
        Buffer<float> whole(rank, count, true), part(rank, count, true);
        CollectiveSpec spec{.count = count, .wire_dtype = DType::kBF16, .buffer = &whole.slot};
        const auto all_reduce = rank.prepare(spec);
        spec.kind = CollectiveKind::kReduceScatter;
        spec.buffer = &part.slot;
        const auto scatter = rank.prepare(spec);
        for (int64_t i = 0; i < count; ++i)
          whole.data()[i] = part.data()[i] = value_of<float>(rank.rank(), i, 0);
        call(*all_reduce);
        call(*scatter);
        const int64_t from = rank.rank() * each;
        // Small all-reduces have the bits of a range too: all of them are the tree's.
        want_bits(part.data() + from, whole.data() + from, each, "rounded reduce_scatter");
      });
}

TEST_P(CommunicatorConcurrentTest, GathersUnequalBlocksAroundTheOwnOneToo) {
  for (const bool in_place : {false, true})
    for (const int64_t unit : {0, 1, 1000, 40001})
      on_ranks({1, 1, 1}, [&](Communicator& rank) {
        const int64_t before = unit * rank.rank() * (rank.rank() + 1) / 2;
        const int64_t count = unit * (rank.rank() + 1), all = 6 * unit;
        std::vector<float> own(static_cast<size_t>(count)), result(static_cast<size_t>(all));
        float* mine = in_place ? result.data() + before : own.data();
        void* buffer = mine;
        void* output = result.data();
        const auto request = rank.prepare({.kind = CollectiveKind::kAllGather,
                                           .count = count,
                                           .buffer = &buffer,
                                           .output = &output});
        for (int round = 0; round < 3; ++round) {
          if (all > 0) std::fill_n(result.data(), all, -1.0f);
          for (int64_t i = 0; i < count; ++i) mine[i] = value_of<float>(rank.rank(), i, round);
          call(*request);
          const float* at = result.data();
          for (int r = 0; r < 3; ++r)
            for (int64_t i = 0; i < unit * (r + 1); ++i, ++at)
              if (*at != value_of<float>(r, i, round))
                throw Internal("element {} of rank {}: got {}", i, r, *at);
        }
      });
}

TEST_P(CommunicatorConcurrentTest, BroadcastsFromAnyRoot) {
  for (const int size : {1, 2, 3, 4})
    for (const int64_t count : {0, 1, 3001, 100003})
      for (int root = 0; root < size; root += 2)
        for (const bool in_bucket : {true, false})
          on_ranks(Blocks(static_cast<size_t>(size), 1), [&](Communicator& rank) {
            const Buffer<float> buffer(rank, count, in_bucket);
            const auto request = rank.prepare({.kind = CollectiveKind::kBroadcast,
                                               .count = count,
                                               .root = root,
                                               .buffer = &buffer.slot});
            for (int round = 0; round < 3; ++round) {
              for (int64_t i = 0; i < count; ++i)
                buffer.data()[i] = value_of<float>(rank.rank(), i, round);
              call(*request);
              for (int64_t i = 0; i < count; ++i)
                if (buffer.data()[i] != value_of<float>(root, i, round))
                  throw Internal("element {}: got {}", i, buffer.data()[i]);
            }
          });
}

TEST_P(CommunicatorConcurrentTest, TimedWaitsAreCounted) {
  on_ranks({1, 1}, [](Communicator& rank) {
    Buffer<float> buffer(rank, 100, true);
    const auto plain = rank.prepare({.count = 100, .buffer = &buffer.slot});
    call(*plain);
    if (rank.stats().waited.count() != 0) throw Internal("an untimed wait is counted");
    const auto timed = rank.prepare({.count = 100, .buffer = &buffer.slot, .timed = true});
    call(*timed);
    if (timed->waited().count() <= 0 || rank.stats().waited != timed->waited())
      throw Internal("got {} ns of {}", rank.stats().waited.count(), timed->waited().count());
  });
}

// ---- What cannot be.

TEST_P(CommunicatorConcurrentTest, SpecsThatCannotBeAreRefusedAndNothingBreaks) {
  on_ranks({1, 1, 1}, [](Communicator& rank) {
    std::vector<float> values(8);
    void* slot = values.data();
    using Kind = CollectiveKind;
    expect_invalid({"reduce_scatter", "8 elements", "3 ranks"}, [&] {
      (void)rank.prepare({.kind = Kind::kReduceScatter, .count = 8, .buffer = &slot});
    });
    expect_invalid({"broadcast", "root 3", "below 3"}, [&] {
      (void)rank.prepare({.kind = Kind::kBroadcast, .count = 8, .root = 3, .buffer = &slot});
    });
    expect_invalid({"all_reduce", "\"model\"", "\"data\""},
                   [&] { (void)rank.prepare({.count = 8, .axis = "model", .buffer = &slot}); });
    expect_invalid({"all_gather", "no slot for the result"}, [&] {
      (void)rank.prepare({.kind = Kind::kAllGather, .count = 8, .buffer = &slot});
    });
    expect_invalid({"all_reduce", "bool"}, [&] {
      (void)rank.prepare({.dtype = DType::kBool, .count = 8, .buffer = &slot});
    });
    expect_invalid({"all_reduce", "float64", "bfloat16"}, [&] {
      (void)rank.prepare(
          {.dtype = DType::kF64, .count = 4, .wire_dtype = DType::kBF16, .buffer = &slot});
    });
    std::fill(values.begin(), values.end(), 1.0f);
    call(*rank.prepare({.count = 8, .buffer = &slot}));
    if (values[7] != 3) throw Internal("got {}", values[7]);
  });
}

TEST_P(CommunicatorConcurrentTest, RanksThatPrepareDifferentKindsAreNamed) {
  const auto errors = GetParam().run({1, 1}, [](Communicator& rank) {
    std::vector<float> values(8);
    void* slot = values.data();
    const auto kind = rank.rank() == 0 ? CollectiveKind::kAllReduce : CollectiveKind::kBroadcast;
    call(*rank.prepare({.kind = kind, .count = 8, .root = 1, .buffer = &slot}));
  });
  for (const auto& error : errors) {
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::kInvalidArgument);
    EXPECT_NE(std::string(error->what()).find("broadcast from rank 1 of 8 float32 on rank 1"),
              std::string::npos)
        << error->what();
  }
}

// ---- Requests come and go.

TEST_P(CommunicatorConcurrentTest, RequestsOfManySizesOverlapAndAreDropped) {
  on_ranks({1, 1, 1}, [](Communicator& rank) {
    std::mt19937 random(5);
    for (int round = 0; round < 60; ++round) {
      std::vector<Buffer<float>> buffers;
      std::vector<std::unique_ptr<Communicator::Request>> requests;
      for (int i = 0; i < 3; ++i)
        buffers.emplace_back(rank, 3 * static_cast<int64_t>(random() % 3000), random() % 2 == 0);
      for (Buffer<float>& buffer : buffers) {
        const auto kind =
            random() % 2 == 0 ? CollectiveKind::kAllReduce : CollectiveKind::kReduceScatter;
        requests.push_back(
            rank.prepare({.kind = kind, .count = buffer.count, .buffer = &buffer.slot}));
        std::fill_n(buffer.data(), buffer.count, 1.0f);
      }
      for (const auto& request : requests) request->start();
      for (const auto& request : requests) request->wait();
      for (const Buffer<float>& buffer : buffers)
        for (int64_t i = 0, third = buffer.count / 3; i < third; ++i)
          if (const float got = buffer.data()[rank.rank() * third + i]; got != 3)
            throw Internal("round {}: got {}", round, got);
    }
  });
}

/// Memory of this process's files in memory, in bytes.
uint64_t memory_files() {
  uint64_t bytes = 0;
  std::vector<ino_t> seen;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    struct stat status {};
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.rfind("/memfd:", 0) != 0 || stat(entry.path().c_str(), &status) != 0) continue;
    if (std::count(seen.begin(), seen.end(), status.st_ino) > 0) continue;
    seen.push_back(status.st_ino);
    bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

TEST_P(CommunicatorConcurrentTest, DroppedRequestsLeaveNoMemory) {
  on_ranks({1, 1}, [](Communicator& rank) {
    int32_t token = 0;
    void* token_slot = &token;
    const auto meet = rank.prepare({.dtype = DType::kI32, .count = 1, .buffer = &token_slot});
    uint64_t early = 0;
    for (int round = 0; round < 60; ++round) {
      {
        Buffer<float> small(rank, 1000, false), bucket(rank, 100000, true);
        const auto a = rank.prepare({.count = 1000, .buffer = &small.slot});
        const auto b = rank.prepare({.count = 100000, .buffer = &bucket.slot});
        call(*a);
        call(*b);
      }
      call(*meet);  // the other has dropped its own, too
      if (round == 5) early = memory_files();
      call(*meet);  // nobody has the next ones yet
    }
    call(*meet);
    if (memory_files() > early + early / 2)
      throw Internal("got {} bytes; want about {}", memory_files(), early);
    call(*meet);
  });
}

// ---- Parts.

TEST_P(CommunicatorConcurrentTest, PartsAreGroupsOfTheirOwnBesideTheWhole) {
  on_ranks({2, 2, 1, 1}, [](Communicator& rank) {
    const auto part = rank.split("model", rank.rank() % 2);
    if (part->size() != 2 || part->rank() != rank.rank() / 2 || part->axis() != "model")
      throw Internal("got rank {} of {}", part->rank(), part->size());
    float whole = static_cast<float>(rank.rank()), mine = whole;
    void *whole_slot = &whole, *mine_slot = &mine;
    const auto all = rank.prepare({.count = 1, .buffer = &whole_slot});
    const auto some =
        part->prepare({.count = 1, .op = ReduceOp::kMean, .axis = "model", .buffer = &mine_slot});
    all->start();
    call(*some);
    all->wait();
    if (whole != 6) throw Internal("got {} of all", whole);
    const float want = rank.rank() % 2 == 0 ? 2.0f / 3 : 4.0f / 3;  // ranks 0, 2 and 1, 3
    if (mine != want) throw Internal("got {} of a part; want {}", mine, want);
    const auto alone = rank.split("stage", rank.rank());
    if (alone->size() != 1 || alone->rank() != 0) throw Internal("got {} ranks", alone->size());
  });
}

// A block of one replica and one of two are no subtrees of three.
TEST_P(CommunicatorConcurrentTest, PartsThatAreNoTreeAreRefused) {
  on_ranks({1, 1, 2}, [](Communicator& rank) {
    if (rank.rank() == 0)
      (void)rank.split("model", 0);
    else
      expect_invalid({"1, 2", "subtree"}, [&] { (void)rank.split("model", 1); });
  });
}

TEST_P(CommunicatorConcurrentTest, AnAbortEndsTheWaitsInParts) {
  const auto errors = GetParam().run({1, 1, 1}, [](Communicator& rank) {
    const auto part = rank.split("model", rank.rank() == 2 ? 1 : 0);
    float value = 0;
    void* slot = &value;
    if (rank.rank() == 0) {
      const auto request = part->prepare({.count = 1, .axis = "model", .buffer = &slot});
      call(*request);
    } else if (rank.rank() == 1) {
      const auto request = part->prepare({.count = 1, .axis = "model", .buffer = &slot});
      rank.abort(Unavailable("peer down"));
    }
  });
  ASSERT_TRUE(errors[0]);
  EXPECT_NE(std::string(errors[0]->what()).find("peer down"), std::string::npos)
      << errors[0]->what();
}

TEST(CommunicatorResetTest, AnAbortedGroupOfOneProcessIsUsedAgain) {
  const auto ranks = make_in_process_communicators({.block_sizes = {1, 1}});
  float values[2] = {1, 2};
  void* slots[2] = {&values[0], &values[1]};
  std::vector<std::unique_ptr<Communicator::Request>> requests;
  for (size_t r = 0; r < 2; ++r)
    requests.push_back(ranks[r]->prepare({.count = 1, .buffer = &slots[r]}));
  requests[0]->start();  // one rank is ahead when the step fails
  ranks[1]->abort(Cancelled("replica 1 failed"));
  expect_error(Code::kCancelled, {"replica 1"}, [&] { requests[0]->wait(); });
  EXPECT_TRUE(ranks[0]->reset());
  std::thread other([&] { call(*requests[1]); });
  call(*requests[0]);
  other.join();
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[1], 3);
}

}  // namespace
}  // namespace cohort::distribute
