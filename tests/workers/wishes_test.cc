#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>

#include "tests/workers/workers.h"

/// What callbacks on one worker ask of all of them.
namespace cohort {
namespace {

using ::testing::HasSubstr;

class WishesTest : public ::testing::Test {
 protected:
  WishesTest() { setenv("CHECKPOINT_PATH", path_.c_str(), 1); }
  ~WishesTest() override {
    unsetenv("CHECKPOINT_PATH");
    std::filesystem::remove_all(path_);
  }
  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("cohort_wishes_" + std::to_string(getpid()));
};

TEST_F(WishesTest, HoldOnAllWorkersBehindOneStepAndCostNoMessageBefore) {
  const std::vector<WorkerResult> alone = run_workers(1, {"wishes", "1", "4"});
  std::vector<WorkerResult> results = run_workers(3, {"wishes", "1", "4"});
  for (const WorkerResult& result : results) {
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(result.value("exchanges of 20 steps"), "0");
    EXPECT_EQ(result.value("with callbacks"), "0");
    EXPECT_EQ(result.value("with signals"), "0");
    EXPECT_EQ(result.value("with a wish"), "1");
    // Asked for behind the second execution, so it goes with the third.
    EXPECT_EQ(result.value("stopped"), "3 hooks, 3 steps");
    EXPECT_EQ(result.value("stopped in twos"), "3 hooks, 6 steps");
    // From the second batch on: its hook asks, and the third one carries it.
    EXPECT_EQ(result.value("chief's rates"), "0.5 0.5 0.25 0.25 0.25 0.25 0.25 0.25 ");
    EXPECT_EQ(result.value("another's rates"), "0.25 0.25 0.25 0.25 0.25 0.25 0.25 0.25 ");
    EXPECT_EQ(result.value("an epoch's rates"),
              "0.125 0.125 0.125 0.125 0.0625 0.0625 0.0625 0.0625 ");
    EXPECT_EQ(result.value("weights"), results[0].value("weights"));
  }
  ASSERT_EQ(alone[0].exit_code, 0) << alone[0].output;
  EXPECT_EQ(alone[0].value("stopped"), "2 hooks, 2 steps");
  EXPECT_EQ(alone[0].value("stopped in twos"), "2 hooks, 4 steps");
  EXPECT_EQ(alone[0].value("chief's rates"), "0.5 0.25 0.25 0.25 0.25 0.25 0.25 0.25 ");
}

TEST_F(WishesTest, ArePartOfWhatIsSavedBeforeTheyHold) {
  setenv("COHORT_RESUME_FROM", path_.c_str(), 1);
  const auto run = [](int workers, const char* interruption) {
    setenv("INTERRUPTION", interruption, 1);
    return run_workers(workers, {"interrupted_wishes", "1", "4"});
  };
  const WorkerResult want = run(3, "-1 0 0")[0];
  ASSERT_EQ(want.exit_code, 0) << want.output;
  for (const int then : {2, 1}) {
    std::filesystem::remove_all(path_);
    EXPECT_EQ(run(3, "1 0 2")[1].signal, SIGKILL);  // a learning rate is under way
    EXPECT_EQ(run(2, "0 1 3")[0].signal, SIGKILL);  // a stop is
    for (const WorkerResult& result : run(then, "-1 0 0")) {
      ASSERT_EQ(result.exit_code, 0) << result.output;
      for (const char* name : {"weights", "losses", "commits"})
        EXPECT_EQ(result.value(name), want.value(name)) << name;
    }
  }
  unsetenv("INTERRUPTION");
  unsetenv("COHORT_RESUME_FROM");
}

TEST_F(WishesTest, OfAWorkerThatDiesHangNobody) {
  const std::vector<WorkerResult> results = run_workers(3, {"dying_wish", "1", "3"});
  EXPECT_EQ(results[2].signal, SIGKILL);
  for (const int worker : {0, 1}) {
    const WorkerResult& result = results[static_cast<size_t>(worker)];
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr("/job:worker/task:2"));
  }
}

}  // namespace
}  // namespace cohort
