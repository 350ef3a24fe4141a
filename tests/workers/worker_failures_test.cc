#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "tests/workers/workers.h"

/// What becomes of a job of several processes of which one differs, fails, is killed or is silent:
/// errors that name it instead of hangs.
namespace cohort {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

struct Odd {
  const char* scenario;
  const char* message;
};
class OddWorkerTest : public ::testing::TestWithParam<Odd> {};

TEST_P(OddWorkerTest, EndsTheJobWithAnErrorThatNamesIt) {
  const auto results = run_workers(2, {GetParam().scenario});
  for (const WorkerResult& result : results) {
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr(GetParam().message));
  }
  EXPECT_THAT(results[0].value("error"), HasSubstr("/job:worker/task:1"));
}

INSTANTIATE_TEST_SUITE_P(, OddWorkerTest,
                         ::testing::Values(Odd{"other_model", "different steps"},
                                           Odd{"other_batch", "batch size 8"},
                                           Odd{"other_seed", "seed 8"},
                                           Odd{"other_rounding", "gradients sent as bfloat16"},
                                           Odd{"other_input", "distributed over the workers"},
                                           Odd{"less_data", "4 batches of 16"},
                                           Odd{"wrong_label", "77"}),
                         [](const auto& info) { return std::string(info.param.scenario); });

TEST(WorkerFailureTest, AKilledWorkerIsNamedByAllOthers) {
  const auto results = run_workers(3, {"killed"});
  EXPECT_EQ(results[2].signal, SIGKILL);
  for (int worker : {0, 1}) {
    const WorkerResult& survivor = results[static_cast<size_t>(worker)];
    EXPECT_EQ(survivor.exit_code, 3) << survivor.output;
    EXPECT_THAT(survivor.value("error"), HasSubstr("Unavailable"));
    EXPECT_THAT(survivor.value("error"), HasSubstr("/job:worker/task:2"));
  }
}

class KilledWorkerTest : public ::testing::TestWithParam<int> {};

TEST_P(KilledWorkerTest, IsNamedByAllOthersWhereverItsStepStands) {
  const int victim = GetParam();
  Workers workers(3, {"endless"});
  workers.wait_for(victim, "step: made", std::chrono::seconds(60));
  workers.signal(victim, SIGKILL);
  const auto results = workers.wait(std::chrono::seconds(60));
  for (int worker = 0; worker < 3; ++worker) {
    const WorkerResult& result = results[static_cast<size_t>(worker)];
    if (worker == victim) continue;
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr("Unavailable"));
    EXPECT_THAT(result.value("error"), HasSubstr("/job:worker/task:" + std::to_string(victim)));
  }
}

INSTANTIATE_TEST_SUITE_P(, KilledWorkerTest, ::testing::Values(0, 1, 2));

// It has its seat, and the others wait for it in the exchange of the host's processes.
TEST(WorkerFailureTest, AWorkerThatDiesWhileTheOthersMeetItIsNamed) {
  for (const auto& [scenario, victim] :
       {std::pair{"dies_meeting", 1}, {"leader_dies_meeting", 0}}) {
    const auto results = run_workers(3, {scenario});
    for (int worker = 0; worker < 3; ++worker) {
      const WorkerResult& result = results[static_cast<size_t>(worker)];
      if (worker == victim) {
        EXPECT_EQ(result.signal, SIGSYS) << result.output;
        continue;
      }
      EXPECT_EQ(result.exit_code, 3) << result.output;
      EXPECT_THAT(
          result.value("error"),
          AllOf(HasSubstr("Unavailable"), HasSubstr("/job:worker/task:" + std::to_string(victim))));
    }
  }
}

TEST(WorkerFailureTest, AWorkerThatLivesButIsStuckIsNamedAfterTheTimeout) {
  Workers workers(2, {"stuck"});
  const auto results = workers.wait(std::chrono::seconds(60), 1);
  EXPECT_EQ(results[0].exit_code, 3) << results[0].output;
  EXPECT_THAT(results[0].value("error"), HasSubstr("DeadlineExceeded"));
  EXPECT_THAT(results[0].value("error"), HasSubstr("/job:worker/task:1"));
}

TEST(WorkerFailureTest, AStoppedWorkerIsTakenForDead) {
  Workers workers(2, {"stopped"});
  const auto results = workers.wait(std::chrono::seconds(60), 1);
  EXPECT_EQ(results[0].exit_code, 3) << results[0].output;
  EXPECT_THAT(results[0].value("error"), HasSubstr("Unavailable"));
  EXPECT_THAT(results[0].value("error"), HasSubstr("/job:worker/task:1"));
}

TEST(WorkerFailureTest, AnErrorInAUsersFunctionEndsTheJob) {
  const auto results = run_workers(2, {"throws_in_map"});
  EXPECT_THAT(results[1].value("error"), HasSubstr("got a broken example"));
  EXPECT_EQ(results[0].exit_code, 3) << results[0].output;
  EXPECT_THAT(results[0].value("error"), HasSubstr("/job:worker/task:1"));
}

struct Failing {
  const char* scenario;
  const char* text;  ///< in the others' errors, behind the culprit's name
};
class FailingWorkerTest : public ::testing::TestWithParam<Failing> {};

TEST_P(FailingWorkerTest, TellsTheOthersWhatItFailedWith) {
  const auto results = run_workers(3, {GetParam().scenario});
  for (const int other : {0, 2}) {
    const WorkerResult& result = results[static_cast<size_t>(other)];
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr(GetParam().text));
    EXPECT_THAT(result.value("error"), HasSubstr("/job:worker/task:1"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    , FailingWorkerTest,
    ::testing::Values(Failing{"throws_in_map", "task:1: map: element"},
                      Failing{"throws_in_callback", "task:1: a full disk"},
                      Failing{"throws_at_epoch", "task:1: a full disk"},
                      Failing{"throws_int", "int 42"},
                      Failing{"exits_in_callback", "task:1: its program ended"},
                      Failing{"exits_in_map", "task:1: its program ended"},
                      Failing{"exits", "task:1: its program ended"},
                      Failing{"aborts_on_thread", "task:1: an exception of a thread"},
                      Failing{"throws_in_main", "task:1: an exception ended its part"},
                      Failing{"returns", "has left the cluster and will not come"}),
    [](const auto& info) { return std::string(info.param.scenario); });

TEST(WorkerFailureTest, ASuspendedJobGoesOn) {
  Workers workers(2, {"suspended"});
  for (const int worker : {0, 1}) workers.wait_for(worker, "step: made", std::chrono::seconds(60));
  for (const int worker : {0, 1}) workers.signal(worker, SIGSTOP);
  // What the test is about is that time passes: longer than a silent task lives.
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(8);
       std::chrono::steady_clock::now() < until;)
    std::this_thread::sleep_until(until);
  for (const int worker : {0, 1}) workers.signal(worker, SIGCONT);
  for (const int worker : {0, 1})
    workers.wait_for(worker, "step: went on", std::chrono::seconds(60));
  workers.signal(1, SIGKILL);
  const auto results = workers.wait(std::chrono::seconds(60));
  EXPECT_THAT(results[0].value("error"), HasSubstr("/job:worker/task:1"));
}

class CircleOfWaitsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CircleOfWaitsTest, IsFoundAndNamesWhatEachWorkerWaitsIn) {
  for (const WorkerResult& result : run_workers(3, {"other_function", GetParam()})) {
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(
        result.value("error"),
        AllOf(HasSubstr("FailedPrecondition"), HasSubstr("the tasks wait for each other"),
              HasSubstr("/job:worker/task:0 in "), ContainsRegex("/job:worker/task:[12] in ")));
  }
}

INSTANTIATE_TEST_SUITE_P(, CircleOfWaitsTest, ::testing::Values("1", "2"),
                         [](const auto& info) { return std::string("devices_") + info.param; });

TEST(WorkerFailureTest, ALoopThatEndsEarlyIsToldByWhatEachWorkerIsAbout) {
  for (const WorkerResult& result : run_workers(2, {"ends_early"})) {
    EXPECT_EQ(result.exit_code, 3) << result.output;
    EXPECT_THAT(result.value("error"), HasSubstr("1 about to exchange \"reduce\" while process 0"));
  }
}

TEST(WorkerFailureTest, AWorkerThatExitsEarlyIsNamed) {
  const auto results = run_workers(2, {"exits"});
  EXPECT_EQ(results[1].exit_code, 0) << results[1].output;
  EXPECT_EQ(results[0].exit_code, 3) << results[0].output;
  EXPECT_THAT(results[0].value("error"), HasSubstr("/job:worker/task:1"));
}

}  // namespace
}  // namespace cohort
