#include "cohort/distribute/transport/host_group.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using std::chrono::milliseconds;

/// Runs `body` on every rank of a host, each in a process of its own, which is a thread.
void run_on_host(int size, milliseconds timeout, const std::function<void(HostGroup&)>& body) {
  cluster::LocalKeyValueStore store;
  HostGroupOptions options{.group_size = size,
                           .store = &store,
                           .key = "host",
                           .group_name = "group",
                           .startup_timeout = std::chrono::seconds(60),
                           .timeout = timeout,
                           .warn_after = timeout};
  for (int rank = 0; rank < size; ++rank) {
    options.ranks.push_back(rank);
    options.process_of.push_back(rank);
    options.process_names.push_back("process " + std::to_string(rank));
    options.rank_names.push_back("rank " + std::to_string(rank));
  }
  std::vector<std::thread> threads;
  for (int process = 0; process < size; ++process)
    threads.emplace_back([&, process] {
      HostGroupOptions mine = options;
      mine.process = process;
      try {
        HostGroup group(mine);
        body(group);
      } catch (const Error& error) {
        ADD_FAILURE() << "process " << process << ": " << error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
}

RankLines* lines_of(const std::shared_ptr<char>& meeting) {
  return reinterpret_cast<RankLines*>(meeting.get());
}

Caller caller_of(const HostGroup& group, bool of_node) {
  return {.what = "all_reduce",
          .rank = group.options().process,
          .meeting = 0,
          .count = 1,
          .unit = "float32",
          .of_node = of_node};
}

TEST(HostGroupTest, AWaitForTheNetworkLastsAsLongAsSomethingMoves) {
  constexpr milliseconds kTimeout(3000);  // of the start, too
  std::atomic<int> done{0};
  run_on_host(2, kTimeout, [&](HostGroup& group) {
    const auto meeting = group.map_meeting(0, false);
    std::atomic<uint32_t>& done_calls = lines_of(meeting)[0].done;
    if (group.options().process == 0) {  // as the progress thread
      const auto end = std::chrono::steady_clock::now() + kTimeout * 3 / 2;
      while (std::chrono::steady_clock::now() < end) {
        group.note_movement();
        std::this_thread::yield();
      }
      group.signal(done_calls, 1);
    } else {
      group.wait_for(done_calls, 1, 0, caller_of(group, true));
    }
    ++done;
    while (done < 2 && !group.failed()) std::this_thread::yield();
  });
  EXPECT_EQ(done, 2);
}

TEST(HostGroupTest, EveryRankThatIsLateIsNamed) {
  std::atomic<bool> over{false};
  run_on_host(4, milliseconds(3000), [&](HostGroup& group) {
    const auto meeting = group.map_meeting(0, false);
    RankLines* lines = lines_of(meeting);
    const int rank = group.options().process;
    if (rank == 0) {
      testing::expect_error(
          Code::kDeadlineExceeded,
          {"nothing from rank 1 (process 1", ", rank 3 (process 3", "in 3000 ms"}, [&] {
            group.wait_for_others({&lines[0].ready, sizeof(RankLines)}, 1, caller_of(group, false));
          });
      over = true;
    } else {
      if (rank == 2) group.signal(lines[2].ready, 1);
      while (!over) std::this_thread::yield();
    }
  });
}

TEST(HostGroupTest, WaitsForAllWhoAreLateAreOnTheBoard) {
  const auto board = std::make_shared<cluster::WaitBoard>();
  cluster::LocalKeyValueStore store;
  HostGroup group({.ranks = {0, 1, 2},
                   .group_size = 3,
                   .process_of = {0, 0, 0},
                   .process_names = {"process 0"},
                   .rank_names = {"rank 0", "rank 1", "rank 2"},
                   .store = &store,
                   .key = "host",
                   .group_name = "group",
                   .wait_board = board,
                   .timeout = std::chrono::seconds(60),
                   .warn_after = std::chrono::seconds(60)});
  const auto meeting = group.map_meeting(0, false);
  RankLines* lines = lines_of(meeting);
  std::thread waiting([&] {
    group.wait_for_others({&lines[0].ready, sizeof(RankLines)}, 1, caller_of(group, false));
  });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto waits = [&](size_t count) {
    while (board->waits().size() != count && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    return board->waits();
  };
  EXPECT_EQ(waits(2)[0].to, "group/rank 1");
  group.signal(lines[1].ready, 1);
  EXPECT_EQ(waits(1)[0].to, "group/rank 2");
  group.signal(lines[2].ready, 1);
  waiting.join();
  EXPECT_TRUE(board->waits().empty());
}

}  // namespace
}  // namespace cohort::distribute
