// Data under way is no silence and no wait: groups over links that take seconds.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "cohort/cluster/wait_board.h"
#include "cohort/cluster/wait_graph.h"
#include "tests/distribute/group_harness.h"
#include "tests/distribute/slow_network.h"

namespace cohort::distribute {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::SlowNetwork;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kPatience = seconds(2);  // shorter than the transfers
constexpr double kRate = 400e3;         // bytes a second
constexpr auto kDeadline = seconds(60);

/// The processes of a job, each a thread with a wait board, over one slow network.
struct Job {
  explicit Job(int size) : processes(size) {
    for (int process = 0; process < size; ++process) {
      boards.push_back(std::make_shared<cluster::WaitBoard>());
      worlds.push_back(network.world(process, size));
    }
  }

  /// The communicator of `process` in a group of `members`.
  std::unique_ptr<Communicator> join(const std::string& name, const std::vector<int>& members,
                                     int process) {
    ProcessGroupOptions group = group_of(static_cast<int>(members.size()));
    group.process =
        static_cast<int>(std::find(members.begin(), members.end(), process) - members.begin());
    for (size_t i = 0; i < members.size(); ++i)
      group.process_names.push_back("worker " + std::to_string(members[i]));
    group.name = name;
    group.store = &store;
    group.timeout = timeout;
    group.warn_after = kPatience;
    group.transport = Transport::kMpi;
    group.wait_board = boards[static_cast<size_t>(process)];
    group.mpi = worlds.at(static_cast<size_t>(process));
    return std::move(make_process_communicators(group).front());
  }

  /// Runs `body` on every process; returns what each threw.
  std::vector<std::optional<Error>> run(const std::function<void(int process)>& body) {
    std::vector<std::optional<Error>> errors(static_cast<size_t>(processes));
    std::vector<std::thread> threads;
    for (int process = 0; process < processes; ++process)
      threads.emplace_back([&, process] {
        try {
          body(process);
        } catch (const Error& error) {
          errors[static_cast<size_t>(process)] = error;
        }
      });
    for (std::thread& thread : threads) thread.join();
    return errors;
  }

  const int processes;
  SlowNetwork network;
  cluster::LocalKeyValueStore store;
  milliseconds timeout = kDeadline;
  std::vector<std::shared_ptr<cluster::WaitBoard>> boards;
  std::vector<std::shared_ptr<MpiWorld>> worlds;
};

/// A sum of `n` ones of every rank.
struct Sum {
  Sum(Communicator& communicator, int64_t n)
      : values(static_cast<size_t>(n)),
        want(static_cast<float>(communicator.size())),
        request(communicator.prepare({.count = n, .buffer = &data})) {}

  void run() {
    std::fill(values.begin(), values.end(), 1.0f);
    request->start();
    request->wait();
    for (const float value : values)
      if (value != want) throw Internal("got {}; want {}", value, want);
  }

  std::vector<float> values;
  void* data = values.data();
  float want;
  std::unique_ptr<Communicator::Request> request;
};

constexpr int64_t kMillion = 1'000'000;

TEST(SlowLinkTest, DataUnderWayForLongerThanTheTimeoutIsNoSilence) {
  Job job(2);
  job.timeout = kPatience + milliseconds(500);
  ::testing::internal::CaptureStderr();
  // 2 MB each way, in partial sums and in results.
  const auto errors = job.run([&](int process) {
    const auto rank = job.join("group", {0, 1}, process);
    Sum sum(*rank, kMillion / 2);
    job.network.set_rate(0, 1, kRate);
    sum.run();
    job.network.set_rate(0, 1, SlowNetwork::kFast);
  });
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("warning")));
  expect_no_errors(errors);
}

TEST(SlowLinkTest, WhoWaitsForDataBetweenOthersHearsThatItMoves) {
  Job job(3);
  ::testing::internal::CaptureStderr();
  // Each chunk is one piece, so nothing comes to rank 0 until one has passed between the others,
  // which takes longer than the patience.
  const auto errors = job.run([&](int process) {
    const auto rank = job.join("group", {0, 1, 2}, process);
    Sum sum(*rank, 3 * 256 * 1024 / 4);
    job.network.set_rate(1, 2, kRate / 8);
    sum.run();
    job.network.set_rate(1, 2, SlowNetwork::kFast);
  });
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("warning")));
  expect_no_errors(errors);
}

TEST(SlowLinkTest, WhoIsAheadInAnotherGroupHearsThatDataMoves) {
  Job job(3);
  std::atomic<bool> ahead{false};
  ::testing::internal::CaptureStderr();
  const auto errors = job.run([&](int process) {
    const auto behind = process == 0 ? nullptr : job.join("pair", {1, 2}, process);
    const auto rank = job.join("all", {0, 1, 2}, process);
    Sum all(*rank, 1);
    if (behind) {
      Sum pair(*behind, kMillion / 2);
      job.network.set_rate(1, 2, kRate);
      pair.run();
      job.network.set_rate(1, 2, SlowNetwork::kFast);
    } else {
      ahead = true;
    }
    all.run();
  });
  EXPECT_TRUE(ahead);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), Not(HasSubstr("warning")));
  expect_no_errors(errors);
}

TEST(SlowLinkTest, ALinkThatStopsIsNamedATimeoutAfterItsLastByte) {
  Job job(2);
  job.timeout = kPatience;
  const auto errors = job.run([&](int process) {
    const auto rank = job.join("group", {0, 1}, process);
    Sum sum(*rank, 2 * kMillion);
    job.network.set_rate(0, 1, kRate);
    std::thread cut;
    if (process == 0)
      cut = std::thread([&] {
        const auto end = std::chrono::steady_clock::now() + kDeadline;
        while (job.network.arrived(0, 1) < 500'000 && std::chrono::steady_clock::now() < end)
          std::this_thread::yield();
        job.network.set_rate(0, 1, 0);
      });
    struct Join {
      std::thread& thread;
      ~Join() {
        if (thread.joinable()) thread.join();
      }
    } const join{cut};
    sum.run();
  });
  EXPECT_GE(job.network.arrived(0, 1), 500'000u);
  for (const size_t rank : {size_t{0}, size_t{1}}) {
    ASSERT_TRUE(errors[rank]);
    EXPECT_EQ(errors[rank]->code(), Code::kDeadlineExceeded) << errors[rank]->what();
    EXPECT_THAT(errors[rank]->what(), HasSubstr("nothing from rank"));
  }
}

TEST(SlowLinkTest, ACircleBesideASlowTransferIsFoundAndTheTransferIsNone) {
  Job job(4);
  job.network.set_rate(0, 1, kRate);
  std::atomic<bool> found{false};
  std::string circle;
  std::thread leader([&] {
    cluster::WaitGraph graph;
    const auto end = std::chrono::steady_clock::now() + kDeadline;
    while (circle.empty() && std::chrono::steady_clock::now() < end) {
      for (int process = 0; process < job.processes; ++process)
        graph.report({"worker", process}, job.boards[static_cast<size_t>(process)]->waits());
      circle = graph.find_circle().value_or("");
      std::this_thread::yield();
    }
    found = true;
    found.notify_all();
  });
  const auto errors = job.run([&](int process) {
    const bool healthy = process < 2;
    const auto rank =
        healthy ? job.join("slow", {0, 1}, process) : job.join("stuck", {2, 3}, process);
    Sum one(*rank, healthy ? kMillion / 2 : 10), other(*rank, 10);
    if (healthy) return one.run();
    std::thread ends([&] {
      found.wait(false);
      rank->abort(Cancelled("the test is over"));
    });
    try {
      (process == 2 ? one : other).run();
    } catch (const Error&) {
    }
    ends.join();
  });
  leader.join();
  EXPECT_THAT(circle,
              AllOf(HasSubstr("task:2 in all_reduce #0"), HasSubstr("task:3 in all_reduce #1"),
                    Not(HasSubstr("task:0")), Not(HasSubstr("task:1"))));
  expect_no_errors(errors);
}

TEST(SlowLinkTest, ATransferIsNoCircleHoweverLongItLasts) {
  Job job(3);
  std::atomic<int> running{3};
  std::string circle;
  std::thread leader([&] {
    cluster::WaitGraph graph;
    while (running > 0) {
      for (int process = 0; process < job.processes; ++process)
        graph.report({"worker", process}, job.boards[static_cast<size_t>(process)]->waits());
      circle += graph.find_circle().value_or("");
      std::this_thread::yield();
    }
  });
  const auto errors = job.run([&](int process) {
    struct Ends {
      std::atomic<int>& running;
      ~Ends() { --running; }
    } const ends{running};
    const auto rank = job.join("group", {0, 1, 2}, process);
    Sum sum(*rank, kMillion / 2);
    for (int other = 0; other < process; ++other) job.network.set_rate(other, process, kRate);
    sum.run();
    sum.run();
  });
  leader.join();
  EXPECT_EQ(circle, "");
  expect_no_errors(errors);
}

}  // namespace
}  // namespace cohort::distribute
