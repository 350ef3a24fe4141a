#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/workers/workers.h"

/// Jobs of several processes: the same numbers as one process.
namespace cohort {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

/// What all workers of a job print alike, by name.
void expect_equal_on_all(const std::vector<WorkerResult>& results,
                         const std::vector<std::string>& names) {
  for (const WorkerResult& result : results) {
    EXPECT_EQ(result.exit_code, 0) << result.output;
    for (const std::string& name : names)
      EXPECT_EQ(result.value(name), results.front().value(name)) << name;
  }
}

TEST(MultiWorkerTest, FitHasTheSameBitsOnAnyNumberOfWorkersAndDevices) {
  const std::vector<std::string> names{"loss",      "accuracy", "evaluated",
                                       "predicted", "weights",  "commits"};
  const auto one = run_workers(1, {"fit", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  for (const auto& [workers, devices] : {std::pair{1, 2}, {2, 1}, {2, 2}, {4, 1}, {3, 1}}) {
    SCOPED_TRACE(std::to_string(workers) + " workers of " + std::to_string(devices) + " devices");
    auto results = run_workers(workers, {"fit", std::to_string(devices), "4"});
    results.insert(results.begin(), one[0]);
    expect_equal_on_all(results, names);
  }
}

/// What the workers of these many processes and devices say is what one process says.
void expect_sharded_bits(const std::string& scenario, const WorkerResult& one,
                         const std::vector<std::pair<int, int>>& jobs) {
  const std::vector<std::string> names{"loss",
                                       "accuracy",
                                       "evaluated",
                                       "predicted",
                                       "weights",
                                       "adam/sequential/dense/bias_momentum",
                                       "adam/sequential/dense_1/bias_velocity"};
  for (const auto& [workers, devices] : jobs) {
    SCOPED_TRACE(std::to_string(workers) + " workers of " + std::to_string(devices) + " devices");
    auto results = run_workers(workers, {scenario, std::to_string(devices), "4"});
    // Of the chief alone, after every step.
    EXPECT_EQ(results[0].values("after a step"), one.values("after a step"));
    EXPECT_EQ(results[0].values("predicted alone"), one.values("predicted alone"));
    results.insert(results.begin(), one);
    expect_equal_on_all(results, names);
  }
}

TEST(MultiWorkerTest, ShardedSlotsHaveTheBitsOfReplicatedOnes) {
  const auto one = run_workers(1, {"replicated", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  EXPECT_GT(one[0].values("predicted alone").size(), 5u);
  expect_sharded_bits("zero1", one[0], {{1, 2}, {2, 1}, {2, 2}, {4, 1}, {3, 1}});
}

TEST(MultiWorkerTest, ShardedGradientsHaveTheBitsOfReplicatedOnes) {
  const auto one = run_workers(1, {"replicated", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  expect_sharded_bits("zero2", one[0], {{2, 2}, {4, 1}, {2, 1}});
}

TEST(MultiWorkerTest, AnUpdateByItsBodyHasTheSameBitsReplicatedAndSharded) {
  const std::vector<std::string> names{"loss",
                                       "accuracy",
                                       "evaluated",
                                       "weights",
                                       "rmsprop/sequential/dense/bias_momentum",
                                       "rmsprop/sequential/dense_1/bias_velocity"};
  const auto one = run_workers(1, {"replicated_rmsprop", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  for (const char* scenario : {"replicated_rmsprop", "zero1_rmsprop"})
    for (const auto& [workers, devices] : {std::pair{1, 2}, {2, 1}, {2, 2}, {3, 1}}) {
      SCOPED_TRACE(std::string(scenario) + ", " + std::to_string(workers) + " workers of " +
                   std::to_string(devices) + " devices");
      auto results = run_workers(workers, {scenario, std::to_string(devices), "4"});
      results.insert(results.begin(), one[0]);
      expect_equal_on_all(results, names);
    }
}

TEST(MultiWorkerTest, ATableTrainedByItsRowsHasTheSameBitsOnAnyNumberOfWorkersAndDevices) {
  const std::vector<std::string> names{"loss", "accuracy", "evaluated", "predicted", "weights"};
  const auto one = run_workers(1, {"embedding", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  for (const auto& [workers, devices] : {std::pair{1, 2}, {2, 1}, {2, 2}, {3, 1}}) {
    SCOPED_TRACE(std::to_string(workers) + " workers of " + std::to_string(devices) + " devices");
    auto results = run_workers(workers, {"embedding", std::to_string(devices), "4"});
    results.insert(results.begin(), one[0]);
    expect_equal_on_all(results, names);
  }
}

TEST(MultiWorkerTest, MetricsHaveTheSameBitsOnAnyNumberOfWorkersAndDevices) {
  const auto one = run_workers(1, {"metrics", "1", "4"});
  ASSERT_EQ(one[0].exit_code, 0) << one[0].output;
  for (const char* name :
       {" auc ", " weighted_auc ", " f1_score_0 ", " f1_score_1 ", " loss ", " mae ",
        " precision_0 ", " precision_2 ", " recall ", " root_mean_squared_error "})
    EXPECT_THAT(one[0].value("metrics"), HasSubstr(name));
  for (const auto& [workers, devices] : {std::pair{1, 2}, {2, 1}, {2, 2}, {3, 1}}) {
    SCOPED_TRACE(std::to_string(workers) + " workers of " + std::to_string(devices) + " devices");
    auto results = run_workers(workers, {"metrics", std::to_string(devices), "4"});
    results.insert(results.begin(), one[0]);
    expect_equal_on_all(results, {"metrics"});
  }
}

TEST(MultiWorkerTest, OneReplicaEachOverlapsItsBuckets) {
  const auto mirrored = run_workers(1, {"fit", "4"});
  auto results = run_workers(2, {"fit", "2"});
  results.push_back(mirrored[0]);
  expect_equal_on_all(results, {"loss", "accuracy", "weights"});
}

TEST(MultiWorkerTest, OneWorkerIsChief) {
  const auto results = run_workers(3, {"values"});
  EXPECT_EQ(results[0].value("chief"), "yes");
  EXPECT_EQ(results[1].value("chief"), "no");
  EXPECT_EQ(results[2].value("chief"), "no");
}

TEST(MultiWorkerTest, ReduceAndGatherTakeTheValuesOfAllWorkers) {
  const auto results = run_workers(2, {"values", "2"});
  expect_equal_on_all(results, {"sum of ids", "mean of ids", "mean of rows", "gathered",
                                "host tensor", "mismatch"});
  EXPECT_EQ(results[0].value("replicas"), "4");
  EXPECT_EQ(results[0].value("sum of ids"), "6 ");
  EXPECT_EQ(results[0].value("mean of ids"), "1.5 ");
  EXPECT_EQ(results[0].value("mean of rows"), "2 ");  // (0 + 2*1 + 3*2 + 4*3) / 10
  EXPECT_EQ(results[0].value("gathered"), "0 1 1 2 2 2 3 3 3 3 ");
  EXPECT_EQ(results[0].value("host tensor"), "4 ");
  EXPECT_THAT(results[0].value("mismatch"), HasSubstr("Shape mismatch"));
}

TEST(MultiWorkerTest, VariablesOfEachReplicaAreReadOverThoseOfAllWorkers) {
  const std::vector<std::string> names{
      "sum at the start",   "sum of ids",   "sum assigned",   "sum copies",
      "mean at the start",  "mean of ids",  "mean assigned",  "mean copies",
      "first at the start", "first of ids", "first assigned", "first copies"};
  auto results = run_workers(2, {"on_read", "2"});  // ids 0 1, 2 3
  results.push_back(run_workers(1, {"on_read", "4"})[0]);
  expect_equal_on_all(results, names);
  const std::vector<std::string> expected{"4 ", "10 ",      "4 ", "1 1 1 1 ", "1 ", "2.5 ",
                                          "4 ", "4 4 4 4 ", "1 ", "1 ",       "4 ", "4 4 4 4 "};
  for (size_t i = 0; i < names.size(); ++i)
    EXPECT_EQ(results[0].value(names[i]), expected[i]) << names[i];
}

TEST(MultiWorkerTest, ACustomLoopEqualsThatOfOneProcess) {
  const auto one = run_workers(1, {"custom_loop", "2"});
  auto results = run_workers(2, {"custom_loop", "1"});
  results.push_back(one[0]);
  expect_equal_on_all(results, {"total", "weights"});
}

TEST(MultiWorkerTest, CachedStepsShareOneGroup) {
  for (const WorkerResult& result : run_workers(2, {"cached_steps", "2"})) {
    ASSERT_EQ(result.exit_code, 0) << result.output;
    EXPECT_EQ(result.value("descriptors of sixteen"), result.value("descriptors of one step"));
    EXPECT_EQ(result.value("total"), "2720.000000");  // 4 replicas, sum of i * (16 - i)
  }
}

TEST(MultiWorkerTest, FitOnADistributedDatasetEqualsThatOfOneProcess) {
  const std::vector<std::string> names{"loss", "accuracy", "evaluated", "weights"};
  const auto one =
      run_workers(1, {"distributed", "3"});  // 16 rows on 3 replicas; the last batch: 6
  auto results = run_workers(3, {"distributed", "1"});
  results.push_back(one[0]);
  expect_equal_on_all(results, names);
}

TEST(MultiWorkerTest, AResolverOfTheProgramSaysWhoTakesPart) {
  auto results = run_workers(2, {"own_resolver"});
  results.push_back(run_workers(2, {"fit"})[0]);
  expect_equal_on_all(results, {"loss", "weights"});
  EXPECT_EQ(results[0].value("chief"), "yes");
  EXPECT_EQ(results[1].value("chief"), "no");
}

TEST(MultiWorkerTest, BatchNormalizationSharesItsStatistics) {
  const auto one = run_workers(1, {"batch_norm", "2"});
  auto results = run_workers(2, {"batch_norm", "1"});
  results.push_back(one[0]);
  expect_equal_on_all(results, {"loss", "evaluated", "weights"});
}

TEST(MultiWorkerTest, BatchNormalizationSharesItsStatisticsWhereReplicasTakeTurns) {
  const auto apart = run_workers(1, {"batch_norm", "4"});  // a device for each
  for (const int workers : {1, 2, 3}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    auto results = run_workers(workers, {"batch_norm", "1", "4"});
    results.push_back(apart[0]);
    expect_equal_on_all(results, {"loss", "evaluated", "weights", "commits"});
  }
}

TEST(MultiWorkerTest, ASecondThreadIsRefusedAndTheJobGoesOn) {
  const auto alone = run_workers(2, {"fit"});
  const auto results = run_workers(2, {"second_thread"});
  expect_equal_on_all(results, {"loss", "weights"});
  EXPECT_EQ(results[0].value("weights"), alone[0].value("weights"));
  for (size_t worker = 0; worker < 2; ++worker) {
    const std::string task = "/job:worker/task:" + std::to_string(worker);
    for (const auto& [name, what] :
         {std::pair{"second predict", "predict"}, {"second reduce", "an exchange"}})
      EXPECT_THAT(results[worker].value(name),
                  ContainsRegex(task + ": got " + what +
                                ".* in thread [0-9]+ while thread [0-9]+ is in fit"));
  }
}

TEST(MultiWorkerTest, AModelOfEachProcessAloneStaysApart) {
  const auto results = run_workers(2, {"apart"});
  expect_equal_on_all(results, {"weights"});
  for (const WorkerResult& result : results) {
    EXPECT_THAT(result.value("compile"),
                HasSubstr("scope of MultiWorkerMirroredStrategy for a model"));
    EXPECT_THAT(result.value("borrowed"), HasSubstr("belongs to MultiWorkerMirroredStrategy"));
    EXPECT_THAT(result.output, HasSubstr("trains in each process on its own"));
  }
}

TEST(MultiWorkerTest, VariablesStartWithTheChiefsValues) {
  auto results = run_workers(2, {"other_start"});
  results.push_back(run_workers(2, {"fit"})[0]);
  expect_equal_on_all(results, {"loss", "weights"});
}

}  // namespace
}  // namespace cohort
