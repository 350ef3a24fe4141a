#include "cohort/distribute/job_devices.h"

#include <gtest/gtest.h>

#include <thread>

#include "cohort/distribute/multi_worker_strategy.h"
#include "tests/support/expect_error.h"
#include "tests/support/thread_workers.h"

namespace cohort::distribute {
namespace {

using testing::expect_invalid;

const std::vector<std::string> kDeviceTasks{"/job:worker/task:0", "/job:worker/task:1",
                                            "/job:worker/task:2", "/job:worker/task:3"};

WorkerDevices gpus(std::vector<std::string> identities, bool named = false) {
  return {"gpu", named, std::move(identities)};
}

std::vector<std::pair<size_t, size_t>> assigned(const std::vector<WorkerDevices>& workers) {
  std::vector<std::pair<size_t, size_t>> ranges;
  for (const DeviceRange& range : assign_devices("S", workers, kDeviceTasks))
    ranges.emplace_back(range.begin, range.end);
  return ranges;
}

using Ranges = std::vector<std::pair<size_t, size_t>>;

TEST(JobDevicesTest, WorkersOfOneHostDivideItsGpus) {
  const WorkerDevices four = gpus({"a", "b", "c", "d"});
  EXPECT_EQ(assigned({four, four}), (Ranges{{0, 2}, {2, 4}}));
  EXPECT_EQ(assigned({four, four, four, four}), (Ranges{{0, 1}, {1, 2}, {2, 3}, {3, 4}}));
  EXPECT_EQ(assigned({four, four, four}), (Ranges{{0, 1}, {1, 2}, {2, 3}}));  // one is left over
}

TEST(JobDevicesTest, HostsDivideTheirOwn) {
  const WorkerDevices one = gpus({"a", "b"}), other = gpus({"c", "d"});
  EXPECT_EQ(assigned({one, other, one, other}), (Ranges{{0, 1}, {0, 1}, {1, 2}, {1, 2}}));
  EXPECT_EQ(assigned({one, other}), (Ranges{{0, 2}, {0, 2}}));
}

TEST(JobDevicesTest, WhatALauncherGaveEachAloneIsTakenWhole) {
  EXPECT_EQ(assigned({gpus({"a"}), gpus({"b"})}), (Ranges{{0, 1}, {0, 1}}));
}

TEST(JobDevicesTest, NamedDevicesAreNotDivided) {
  EXPECT_EQ(assigned({gpus({"b"}, true), gpus({"a"}, true)}), (Ranges{{0, 1}, {0, 1}}));
  expect_invalid({"S: got gpu b", kDeviceTasks[0], "and on", kDeviceTasks[1], "name others"}, [] {
    assigned({gpus({"b"}, true), gpus({"b"}, true)});
  });
}

TEST(JobDevicesTest, TwoWorkersOnOneGpuAreRefused) {
  expect_invalid(
      {"S: got 1 gpu for 2 workers", kDeviceTasks[0] + ", " + kDeviceTasks[1], "fewer workers"},
      [] {
        assigned({gpus({"a"}), gpus({"a"})});
      });
}

TEST(JobDevicesTest, OverlappingViewsAreRefused) {
  expect_invalid({"got gpu b", kDeviceTasks[0], kDeviceTasks[1]}, [] {
    assigned({gpus({"a", "b"}), gpus({"b", "c"})});
  });
}

TEST(JobDevicesTest, LogicalDevicesOfOneCardAreRefused) {
  expect_invalid({"several logical devices of the gpu a", kDeviceTasks[1]}, [] {
    assigned({gpus({"b", "c"}), gpus({"a", "a"})});
  });
}

TEST(JobDevicesTest, OneTypeOnAllWorkers) {
  expect_invalid({"got devices of type gpu", kDeviceTasks[0], "cpu on", kDeviceTasks[1]}, [] {
    assigned({gpus({"a"}), {"cpu", false, {}}});
  });
}

TEST(JobDevicesTest, CpuDevicesHaveNothingToDivide) {
  EXPECT_EQ(assigned({{"cpu", false, {}}}), (Ranges{{0, 0}}));
}

TEST(JobDevicesTest, WhatAWorkerSaysIsReadBack) {
  for (const WorkerDevices& devices :
       {gpus({"a", "b"}, true), gpus({"a"}), WorkerDevices{"cpu", false, {}}}) {
    const WorkerDevices read = WorkerDevices::from_text(devices.to_text());
    EXPECT_EQ(read.type, devices.type);
    EXPECT_EQ(read.named, devices.named);
    EXPECT_EQ(read.identities, devices.identities);
  }
}

TEST(JobDevicesTest, NcclIsForGpusAndGpusHaveNothingElse) {
  using enum CommunicationImplementation;
  check_implementation("S", kAuto, "cpu");
  check_implementation("S", kRing, "cpu");
  check_implementation("S", kAuto, "gpu");
  check_implementation("S", kNccl, "gpu");
  expect_invalid({"S: got the implementation NCCL for cpu devices"},
                 [] { check_implementation("S", kNccl, "cpu"); });
  expect_invalid({"on GPUs; want AUTO or NCCL"}, [] { check_implementation("S", kRing, "gpu"); });
}

TEST(JobDevicesTest, AStrategyOnCpuDevicesRefusesNccl) {
  expect_invalid({"MultiWorkerMirroredStrategy: got the implementation NCCL for cpu devices"}, [] {
    MultiWorkerMirroredStrategy(
        {.devices = {"cpu:0"},
         .communication_options = {.implementation = CommunicationImplementation::kNccl}});
  });
}

/// A back end that writes down what it was asked for in the group's own exchange.
std::vector<std::unique_ptr<Communicator>> make_fake(const JobGroup& group) {
  const auto all = group.all_gather(
      "fake", fmt::format("{} of {} with {}", group.first_rank(), group.num_ranks(), group.id));
  if (all != std::vector<std::string>{"0 of 6 with made once", "2 of 6 with made once",
                                      "4 of 6 with made once"})
    throw Internal("fake: got {}", all[static_cast<size_t>(group.process)]);
  if (group.failure()) throw Error(*group.failure());
  std::vector<std::unique_ptr<Communicator>> none(group.devices.size());
  return none;
}

TEST(JobCommunicatorsTest, TheChiefsIdReachesEveryWorker) {
  testing::Meeting meeting(3);
  std::vector<std::thread> threads;
  std::vector<std::string> results(3);
  for (int w = 0; w < 3; ++w)
    threads.emplace_back([&, w] {
      try {
        testing::ThreadWorkers workers(meeting, 3, w);
        Device* const devices[] = {nullptr, nullptr};
        const JobCommunicators back_end{
            .make_id = [] { return std::string("made once"); }, .identity = {}, .make = make_fake};
        const auto made = make_job_communicators(
            back_end, workers,
            {.devices = devices, .timeout = std::chrono::seconds(60), .failure = [w] {
               return w == 2 ? std::optional<Error>(Unavailable("task 1 died")) : std::nullopt;
             }});
        results[static_cast<size_t>(w)] = std::to_string(made.size());
      } catch (const Error& error) {
        results[static_cast<size_t>(w)] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(results[0], "2");
  EXPECT_EQ(results[1], "2");
  EXPECT_NE(results[2].find("task 1 died"), std::string::npos);
}

}  // namespace
}  // namespace cohort::distribute
