#include <thread>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/job_devices.h"
#include "cohort/distribute/replica_tree.h"
#include "tests/gpu/device_case.h"
#include "tests/support/expect_error.h"
#include "tests/support/thread_workers.h"

/// GPUs of several workers. The workers are threads here: NCCL sees ranks that meet by an id.
namespace cohort::testing {
namespace {

std::optional<Error> no_failure() { return {}; }

CombineOrder order_of(int ranks) {
  return distribute::combine_order(std::vector<int>(static_cast<size_t>(ranks), 1));
}

class GpuJobTest : public GpuTest {
 protected:
  static const JobCommunicators& nccl() {
    return *default_runtime().job_communicators(DeviceType::kGPU);
  }

  /// Runs `body` on `count` workers of one GPU each; returns what they threw.
  static std::vector<std::optional<Error>> run_workers(
      int count, const std::vector<Device*>& devices,
      const std::function<void(Communicator&, Device&)>& body) {
    Meeting meeting(count);
    std::vector<std::optional<Error>> errors(static_cast<size_t>(count));
    std::vector<std::thread> threads;
    for (int w = 0; w < count; ++w)
      threads.emplace_back([&, w] {
        try {
          ThreadWorkers workers(meeting, count, w);
          Device* const mine[] = {devices[static_cast<size_t>(w)]};
          mine[0]->bind_thread();
          const auto made = distribute::make_job_communicators(nccl(), workers,
                                                               {.devices = mine,
                                                                .order = order_of(count),
                                                                .num_replicas = count,
                                                                .timeout = std::chrono::seconds(60),
                                                                .failure = no_failure});
          body(*made.front(), *mine[0]);
          meeting.meet(static_cast<size_t>(w), "done");
        } catch (const Error& error) {
          errors[static_cast<size_t>(w)] = error;
        }
      });
    for (std::thread& thread : threads) thread.join();
    return errors;
  }
};

TEST_F(GpuJobTest, ACardHasOneIdentity) {
  EXPECT_EQ(nccl().identity(*gpu()), nccl().identity(*gpu()));
  if (cards().size() == 1)
    for (Device* device : gpus()) EXPECT_EQ(nccl().identity(*device), nccl().identity(*gpu()));
}

TEST_F(GpuJobTest, TwoWorkersOnOneGpuAreRefusedBeforeNcclIsAsked) {
  const distribute::WorkerDevices one{"gpu", true, {nccl().identity(*gpu())}};
  expect_invalid({"and on", "want one for each worker"}, [&] {
    distribute::assign_devices("S", {one, one}, {"a", "b"});
  });
}

TEST_F(GpuJobTest, TwoRanksOnOneGpuAreAnErrorAndNoHang) {
  for (const auto& error : run_workers(2, {gpu(), gpu()}, [](Communicator&, Device&) {}))
    EXPECT_TRUE(error.has_value());
}

TEST_F(GpuJobTest, AWorkerThatDoesNotComeEndsTheStartAtTheDeadline) {
  Device* const devices[] = {gpu()};
  expect_error(Code::kDeadlineExceeded, {"rank 0 of 2"}, [&] {
    nccl().make({.devices = devices,
                 .process = 0,
                 .num_processes = 2,
                 .order = order_of(2),
                 .num_replicas = 2,
                 .id = nccl().make_id(),
                 .timeout = std::chrono::seconds(2),
                 .failure = no_failure,
                 .all_gather = {}});
  });
}

TEST_F(GpuJobTest, AFailureOfTheJobEndsTheStart) {
  Device* const devices[] = {gpu()};
  expect_error(Code::kUnavailable, {"task 1 died"}, [&] {
    nccl().make({.devices = devices,
                 .process = 0,
                 .num_processes = 2,
                 .order = order_of(2),
                 .num_replicas = 2,
                 .id = nccl().make_id(),
                 .timeout = std::chrono::minutes(5),
                 .failure = [] { return std::optional<Error>(Unavailable("task 1 died")); },
                 .all_gather = {}});
  });
}

/// Sums and gathers, several times: of 1 worker on any host with a GPU, of more where there are.
TEST_F(GpuJobTest, WorkersReduceAndGather) {
  constexpr int64_t kElements = 1000;
  for (int count = 1; count <= static_cast<int>(cards().size()); ++count) {
    const auto errors = run_workers(count, cards(), [&](Communicator& rank, Device& device) {
      const size_t bytes = kElements * sizeof(float);
      const auto bucket = rank.allocate_bucket(bytes);
      const auto all = rank.allocate_bucket(bytes * static_cast<size_t>(count));
      void* data = bucket.get();
      void* gathered = all.get();
      const auto reduce = rank.prepare({.count = kElements, .buffer = &data});
      const auto gather = rank.prepare({.kind = CollectiveKind::kAllGather,
                                        .dtype = DType::kU8,
                                        .count = static_cast<int64_t>(bytes),
                                        .buffer = &data,
                                        .output = &gathered});
      for (int round = 0; round < 3; ++round) {
        std::vector<float> values(kElements, static_cast<float>(rank.rank() + 1));
        device.copy_from_host(data, values.data(), bytes);
        gather->start();
        gather->wait();
        reduce->start();
        reduce->wait();
        device.copy_to_host(values.data(), data, bytes);
        EXPECT_EQ(values, std::vector<float>(kElements, count * (count + 1) / 2.0f));
        std::vector<float> rows(kElements * static_cast<size_t>(count));
        device.copy_to_host(rows.data(), gathered, rows.size() * sizeof(float));
        for (int r = 0; r < count; ++r)
          EXPECT_EQ(rows[static_cast<size_t>(r) * kElements], static_cast<float>(r + 1));
      }
    });
    for (const auto& error : errors) EXPECT_FALSE(error.has_value()) << error->what();
  }
}

TEST_F(GpuJobTest, AnAbortEndsTheWaitOfEveryRank) {
  if (cards().size() < 2) GTEST_SKIP() << "needs 2 cards; here: " << cards().size();
  const auto errors = run_workers(2, cards(), [](Communicator& rank, Device& device) {
    const auto bucket = rank.allocate_bucket(4096);
    void* data = bucket.get();
    const auto reduce = rank.prepare({.count = 1024, .buffer = &data});
    if (rank.rank() == 1) {
      rank.abort(Unavailable("rank 1 gives up"));
      throw Unavailable("rank 1 gives up");
    }
    std::thread killer([&] { rank.abort(Unavailable("rank 1 gives up")); });
    try {
      reduce->start();
      reduce->wait();
      device.synchronize();
    } catch (const Error&) {
      killer.join();
      throw;
    }
    killer.join();
  });
  for (const auto& error : errors) {
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), Code::kUnavailable) << error->what();
  }
}

}  // namespace
}  // namespace cohort::testing
