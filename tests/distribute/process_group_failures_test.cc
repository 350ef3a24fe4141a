#include "cohort/distribute/process_group.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/distribute/group_harness.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

class ProcessGroupConcurrentFailureTest : public ::testing::TestWithParam<NamedTopology> {};

INSTANTIATE_TEST_SUITE_P(Of, ProcessGroupConcurrentFailureTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST_P(ProcessGroupConcurrentFailureTest, ASilentRankIsNamedWhenTheTimeIsUp) {
  for (const int64_t n : {1, 100000}) {
    ProcessGroupOptions group = GetParam().make(3);
    group.timeout = std::chrono::milliseconds(1500);
    std::atomic<int> ended{0};
    const auto errors = run_ranks(group, [&](Communicator& rank) {
      const auto memory = rank.allocate_bucket(static_cast<size_t>(n) * 4);
      void* data = memory.get();
      const auto request = rank.prepare({.count = n, .buffer = &data});
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

TEST_P(ProcessGroupConcurrentFailureTest, AbortEndsEveryWaitAndLaterCalls) {
  const auto errors = run_ranks(GetParam().make(3), [](Communicator& rank) {
    const auto memory = rank.allocate_bucket(64);
    void* data = memory.get();
    const auto request = rank.prepare({.count = 16, .buffer = &data});
    if (rank.rank() == 1) {
      rank.abort(Unavailable("peer down"));
      testing::expect_error(Code::kUnavailable, {"peer down"}, [&] { request->start(); });
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

TEST_P(ProcessGroupConcurrentFailureTest, DifferentCallsAreAnErrorOnEveryRank) {
  const auto errors = run_ranks(GetParam().make(3), [](Communicator& rank) {
    const auto memory = rank.allocate_bucket(4000);
    void* data = memory.get();
    const auto request = rank.prepare({.count = rank.rank() == 2 ? 999 : 1000, .buffer = &data});
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
  options.startup_timeout = std::chrono::milliseconds(50);
  testing::expect_error(Code::kDeadlineExceeded, {"process 1", "process 2"},
                        [&] { make_process_communicators(options); });
}

/// Without those of Open MPI, of whose programs others may be running.
std::vector<std::string> shared_memory_entries() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm"))
    if (const std::string name = entry.path().filename(); !name.starts_with("vader_segment"))
      names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

/// Sums in a loop until the group fails; `victim` kills itself inside a collective.
void expect_victim_is_named(const ProcessGroupOptions& group, int victim, int64_t n,
                            bool in_bucket) {
  SCOPED_TRACE(std::to_string(n) + " elements, rank " + std::to_string(victim));
  const auto ended = run_processes(group, [&](Communicator& rank) {
    std::vector<float> own(static_cast<size_t>(n));
    const auto bucket = rank.allocate_bucket(own.size() * sizeof(float));
    void* data = in_bucket ? bucket.get() : own.data();
    const auto request = rank.prepare({.count = n, .buffer = &data});
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

}  // namespace
}  // namespace cohort::distribute
