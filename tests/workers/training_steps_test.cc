#include <gtest/gtest.h>

#include "tests/workers/workers.h"

/// What a step of fit may be besides the usual one: the same on any number of processes.
namespace cohort {
namespace {

/// What the workers of jobs of all shapes print alike, by name.
void expect_equal_everywhere(const std::string& scenario, const std::vector<std::string>& names) {
  const auto one = run_workers(1, {scenario, "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  for (const auto& [workers, devices] : {std::pair{1, 2}, {2, 1}, {2, 2}, {3, 1}}) {
    SCOPED_TRACE(scenario + ", " + std::to_string(workers) + " workers of " +
                 std::to_string(devices) + " devices");
    for (const WorkerResult& result :
         run_workers(workers, {scenario, std::to_string(devices), "4"})) {
      EXPECT_EQ(result.exit_code, 0) << result.output;
      for (const std::string& name : names)
        EXPECT_EQ(result.value(name), one[0].value(name)) << name;
    }
  }
}

TEST(TrainingStepsTest, AStepOfOnesOwnHasTheSameBitsOnAnyNumberOfWorkersAndDevices) {
  expect_equal_everywhere("own_steps", {"loss", "mean_of_errors", "evaluated", "weights"});
}

TEST(TrainingStepsTest, AllWorkersSkipTheStepInWhichOneHasAnInfinity) {
  for (const char* scenario : {"float16", "zero1_float16"})
    expect_equal_everywhere(
        scenario, {"loss", "weights", "updates", "commits", "dynamic_scale", "step_counter"});
  const auto one = run_workers(1, {"float16", "1", "4"});
  EXPECT_EQ(one[0].value("updates"), "9") << "three steps of twelve have the infinity";
  EXPECT_EQ(one[0].value("commits"), "12");
  EXPECT_EQ(one[0].value("dynamic_scale"), "4096");
}

}  // namespace
}  // namespace cohort
