#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cohort/core/runtime/instruction_set.h"
#include "tests/support/built_with.h"
#include "tests/workers/workers.h"

/// A job saves together, and what it saved is one checkpoint for any number of processes.
namespace cohort {
namespace {

using ::testing::HasSubstr;

class CheckpointOfAJobTest : public ::testing::Test {
 protected:
  CheckpointOfAJobTest()
      : path_(std::filesystem::temp_directory_path() /
              ("cohort_job_checkpoint_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_);
    setenv("CHECKPOINT_PATH", path_.c_str(), 1);
  }
  ~CheckpointOfAJobTest() override {
    unsetenv("CHECKPOINT_PATH");
    std::filesystem::remove_all(path_);
  }
  void clear() {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  std::filesystem::path path_;
};

TEST_F(CheckpointOfAJobTest, WorkersShareTheTensorsAndResumeWithTheSameBits) {
  const auto one = run_workers(1, {"checkpoints", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  EXPECT_EQ(one[0].value("resumed"), one[0].value("weights"));
  EXPECT_EQ(one[0].value("files"), "1");
  for (const int workers : {2, 3}) {
    clear();
    for (const WorkerResult& result : run_workers(workers, {"checkpoints", "1", "4"})) {
      ASSERT_EQ(result.exit_code, 0) << result.output;
      EXPECT_EQ(result.value("weights"), one[0].value("weights"));
      EXPECT_EQ(result.value("resumed"), one[0].value("weights"));
      EXPECT_EQ(result.value("files"), std::to_string(workers));
      EXPECT_EQ(result.value("refused"), "AlreadyExists");
      EXPECT_EQ(result.value("at last"), one[0].value("at last"));
    }
  }
}

TEST_F(CheckpointOfAJobTest, AnotherNumberOfWorkersGoesOnFromIt) {
  const auto saved = run_workers(3, {"checkpoints", "1", "4"});
  ASSERT_EQ(saved[0].exit_code, 0) << saved[0].output;
  for (const auto& [workers, devices] : {std::pair{4, "1"}, {2, "2"}, {1, "1"}})
    for (const WorkerResult& result : run_workers(workers, {"resumed_checkpoints", devices, "4"})) {
      ASSERT_EQ(result.exit_code, 0) << result.output;
      EXPECT_EQ(result.value("resumed"), saved[0].value("weights")) << workers;
    }
}

TEST_F(CheckpointOfAJobTest, SlotsThatTheWorkersDivideAreSavedWhole) {
  const auto sharded = run_workers(2, {"sharded_checkpoints", "1", "4"});
  for (const WorkerResult& result : sharded) {
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(result.value("resumed"), sharded[0].value("weights"));
  }
  for (const WorkerResult& result : run_workers(3, {"resumed_checkpoints", "1", "4"})) {
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(result.value("resumed"), sharded[0].value("weights"));
  }
}

/// A job of which one worker gets a signal after some batches, started again by other numbers of
/// workers, ends as one that was not disturbed.
class InterruptedJobTest : public CheckpointOfAJobTest {
 protected:
  InterruptedJobTest() {
    setenv("COHORT_RESUME_FROM", path_.c_str(), 1);
    std::filesystem::create_directories(examples_);
    for (int i = 0, line = 0; i < 6; ++i) {
      std::ofstream file(examples_ / (std::to_string(i) + ".txt"));
      for (int lines = 7 + 2 * i; lines > 0; --lines) file << line++ << "\n";
    }
    setenv("EXAMPLES_PATH", examples_.c_str(), 1);
  }
  ~InterruptedJobTest() override {
    unsetenv("EXAMPLES_PATH");
    unsetenv("COHORT_RESUME_FROM");
    std::filesystem::remove_all(examples_);
  }
  /// `input`: how the examples are distributed before fit, on 12 replicas; "": not, on 4.
  std::vector<WorkerResult> run(int workers, const std::string& scenario,
                                const std::string& interruption, const std::string& input = "") {
    if (!interruption.empty()) setenv("INTERRUPTION", interruption.c_str(), 1);
    std::vector<std::string> arguments{scenario, "1", input.empty() ? "4" : "12"};
    if (!input.empty()) arguments.insert(arguments.end(), {"auto", input});
    std::vector<WorkerResult> results = run_workers(workers, arguments);
    unsetenv("INTERRUPTION");
    return results;
  }
  const std::filesystem::path examples_ = path_.string() + "_examples";
  void expect_equal(const std::vector<WorkerResult>& results, const WorkerResult& want) {
    for (const WorkerResult& result : results) {
      ASSERT_EQ(result.exit_code, 0) << result.output;
      for (const char* name : {"weights", "losses", "commits"})
        EXPECT_EQ(result.value(name), want.value(name)) << name;
    }
  }
};

TEST_F(InterruptedJobTest, KilledOnFourItGoesOnOnThreeAndThenOnOne) {
  const WorkerResult want = run(1, "interrupted_fit", "")[0];
  ASSERT_EQ(want.exit_code, 0) << want.output;
  clear();
  EXPECT_EQ(run(4, "interrupted_fit", "2 4 9")[2].signal, SIGKILL);
  EXPECT_EQ(run(3, "interrupted_fit", "0 5 9")[0].signal, SIGKILL);
  expect_equal(run(1, "interrupted_fit", ""), want);
  expect_equal(run(2, "interrupted_fit", ""), want);  // it had ended
}

class DistributedInputTest : public InterruptedJobTest,
                             public ::testing::WithParamInterface<const char*> {};

/// Three replicas for each of four pipelines; of three processes two carry replicas of two.
TEST_P(DistributedInputTest, GoesOnOnThreeAndThenOnOne) {
  const std::string input = GetParam();
  const WorkerResult want = run(4, "interrupted_fit", "", input)[0];
  ASSERT_EQ(want.exit_code, 0) << want.output;
  clear();
  EXPECT_EQ(run(4, "interrupted_fit", "2 4 9", input)[2].signal, SIGKILL);
  EXPECT_EQ(run(3, "interrupted_fit", "0 5 9", input)[0].signal, SIGKILL);
  expect_equal(run(1, "interrupted_fit", "", input), want);
}

INSTANTIATE_TEST_SUITE_P(Shared, DistributedInputTest,
                         ::testing::Values("data", "file", "off", "function"));

TEST_F(InterruptedJobTest, WithoutItsNumberOfPipelinesADistributedDatasetIsRefused) {
  EXPECT_EQ(run(2, "interrupted_fit", "1 4 9", "data")[1].signal, SIGKILL);
  unsetenv("COHORT_RESUME_FROM");
  for (const WorkerResult& result : run(3, "interrupted_fit", "", "data")) {
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr("position of 2 input pipelines; want 3"));
  }
}

/// One worker's is the least; a later job keeps to it, and one that cannot says so.
TEST_F(InterruptedJobTest, AllComputeWithTheLeastInstructionSetNowAndLater) {
  setenv("COHORT_SIMD", "baseline", 1);
  const WorkerResult want = run(1, "interrupted_fit", "")[0];
  unsetenv("COHORT_SIMD");
  clear();
  setenv("LESSER_WORKER", "1", 1);
  EXPECT_EQ(run(3, "interrupted_fit", "2 7 9")[2].signal, SIGKILL);
  unsetenv("LESSER_WORKER");
  expect_equal(run(2, "interrupted_fit", ""), want);
  clear();
  const std::string best(instruction_set());
  if (best == "baseline") GTEST_SKIP() << "this processor, or this build, has no better one";
  EXPECT_EQ(run(1, "interrupted_fit", "0 7 9")[0].signal, SIGKILL);
  setenv("COHORT_SIMD", "baseline", 1);
  const WorkerResult lesser = run(1, "interrupted_fit", "")[0];
  unsetenv("COHORT_SIMD");
  EXPECT_THAT(lesser.output, HasSubstr("instruction_set is baseline here and " + best + " there"));
}

TEST_F(InterruptedJobTest, SlotsThatAreDividedGoOn) {
  const WorkerResult want = run(1, "interrupted_fit", "")[0];
  clear();
  EXPECT_EQ(run(2, "sharded_interrupted_fit", "1 7 9")[1].signal, SIGKILL);
  expect_equal(run(3, "sharded_interrupted_fit", ""), want);
}

TEST_F(InterruptedJobTest, AskedToEndAllWorkersSaveAtOneStep) {
  const WorkerResult want = run(1, "interrupted_fit", "")[0];
  clear();
  for (const WorkerResult& result : run(2, "interrupted_fit", "1 3 15")) {
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr("saved"));
  }
  expect_equal(run(2, "interrupted_fit", ""), want);
}

TEST_F(CheckpointOfAJobTest, ADirectoryThatIsNotSharedIsNamedOnAllWorkers) {
  for (const WorkerResult& result : run_workers(2, {"unshared_checkpoints", "1", "2"})) {
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr("FailedPrecondition"));
    EXPECT_THAT(result.value("error"), HasSubstr("task:1"));
    EXPECT_THAT(result.value("error"), HasSubstr("all hosts of the job share"));
  }
}

TEST_F(CheckpointOfAJobTest, WeightsAsKerasHasThemAreWrittenOnceAndReadByAll) {
  if (!testing::built_with::hdf5) GTEST_SKIP() << "this build has no HDF5";
  const auto one = run_workers(1, {"weights_files", "1", "2"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  std::filesystem::remove_all(path_ / "exported");
  for (const WorkerResult& result : run_workers(2, {"weights_files", "1", "2"})) {
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(result.value("served"), one[0].value("served"));
    EXPECT_EQ(result.value("exported"), "AlreadyExists");
    EXPECT_EQ(result.value("loaded"), result.value("weights"));
    EXPECT_EQ(result.value("lacking"), "NotFound");
    EXPECT_EQ(result.value("there"), "AlreadyExists");
    EXPECT_EQ(result.value("different"), "FailedPrecondition");
  }
}

}  // namespace
}  // namespace cohort
