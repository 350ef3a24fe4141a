#include "cohort/cluster/roles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_invalid;
using ::testing::ElementsAre;

// The cluster of most cases: a chief, two workers, two parameter servers.
const ClusterSpec::DenseJobs kFullJobs = {
    {"chief", {"c:1"}}, {"worker", {"w0:1", "w1:1"}}, {"ps", {"p0:1", "p1:1"}}};

ClusterSpec full() { return ClusterSpec(kFullJobs); }
ClusterSpec workers(int count) {
  return ClusterSpec({{"worker", std::vector<std::string>(count, "w:1")}});
}
ClusterSpec with_evaluator() {
  return ClusterSpec({{"chief", {"c:1"}}, {"worker", {"w0:1", "w1:1"}}, {"evaluator", {"e:1"}}});
}

TEST(RolesTest, ChiefIsTheChiefOrTheFirstWorker) {
  EXPECT_TRUE(is_chief(full(), {"chief", 0}));
  EXPECT_FALSE(is_chief(full(), {"worker", 0}));
  EXPECT_FALSE(is_chief(full(), {"ps", 0}));
  EXPECT_TRUE(is_chief(workers(2), {"worker", 0}));
  EXPECT_FALSE(is_chief(workers(2), {"worker", 1}));
}

TEST(RolesTest, FirstOfSparseWorkersIsTheChief) {
  const ClusterSpec spec = ClusterSpec::sparse({{"worker", {{2, "a:1"}, {5, "b:1"}}}});
  EXPECT_TRUE(is_chief(spec, {"worker", 2}));
  EXPECT_FALSE(is_chief(spec, {"worker", 5}));
  EXPECT_EQ(id_in_cluster(spec, {"worker", 5}), 1);
  EXPECT_EQ(collective_leader(spec, {"worker", 5}), "/job:worker/replica:0/task:2");
}

TEST(RolesTest, EvaluatorIsItsOwnChief) {
  EXPECT_TRUE(is_chief(with_evaluator(), {"evaluator", 0}));
  EXPECT_EQ(worker_count(with_evaluator(), "evaluator"), 1);
  EXPECT_EQ(id_in_cluster(with_evaluator(), {"evaluator", 0}), 0);
  EXPECT_EQ(collective_leader(with_evaluator(), {"evaluator", 0}), "");
}

TEST(RolesTest, TypeThatIsNotInTheClusterIsAnError) {
  expect_invalid({"`task_type` 'chief' not found in cluster_spec."}, [] {
    is_chief(workers(1), {"chief", 0});
  });
  expect_invalid({"`task_type` 'worker' not found in cluster_spec."}, [] {
    validate(ClusterSpec({{"chief", {"c:1"}}, {"ps", {"p:1"}}}), {"worker", 0});
  });
  expect_invalid({"not found in cluster_spec."}, [] { worker_count(ClusterSpec(), "worker"); });
}

TEST(RolesTest, IndexThatIsNotInTheClusterIsAnError) {
  expect_invalid({"The `task_id` 2 exceeds the maximum id of worker."}, [] {
    is_chief(workers(2), {"worker", 2});
  });
  expect_invalid({"The `task_id` -1 of worker is negative."}, [] {
    is_chief(workers(2), {"worker", -1});
  });
  expect_invalid({"The `task_id` 3 is not in the sparse job worker."}, [] {
    validate(ClusterSpec::sparse({{"worker", {{2, "a:1"}, {5, "b:1"}}}}), {"worker", 3});
  });
}

TEST(RolesTest, ChiefCountsAsAWorker) {
  EXPECT_EQ(worker_count(full(), "chief"), 3);
  EXPECT_EQ(worker_count(full(), "worker"), 3);
  EXPECT_EQ(worker_count(workers(4), "worker"), 4);
  EXPECT_EQ(id_in_cluster(full(), {"chief", 0}), 0);
  EXPECT_EQ(id_in_cluster(full(), {"worker", 1}), 2);
  EXPECT_EQ(id_in_cluster(workers(2), {"worker", 1}), 1);
}

TEST(RolesTest, ParameterServersAreNotCounted) {
  expect_invalid({"Unexpected `task_type` 'ps'"}, [] {
    worker_count(ClusterSpec({{"chief", {"c:1"}}, {"ps", {"p0:1", "p1:1"}}}), "ps");
  });
  expect_invalid({"There is no id for task_type 'ps'"}, [] { id_in_cluster(full(), {"ps", 0}); });
}

TEST(RolesTest, LeaderIsTheChiefOrTheFirstWorker) {
  EXPECT_EQ(collective_leader(full(), {"worker", 0}), "/job:chief/replica:0/task:0");
  EXPECT_EQ(collective_leader(workers(2), {"worker", 1}), "/job:worker/replica:0/task:0");
  EXPECT_EQ(collective_leader(ClusterSpec(), {"worker", 0}), "");
}

TEST(RolesTest, EvaluatorMayBeMissingInTheCluster) {
  validate(full(), {"evaluator", 0});
  EXPECT_TRUE(is_chief(full(), {"evaluator", 0}));
  EXPECT_EQ(worker_count(full(), "evaluator"), 1);
}

TEST(RolesTest, ForeignJobsAndTypesAreErrors) {
  expect_invalid({"Disallowed task type found in", "some_arbitrary_name"}, [] {
    validate(ClusterSpec({{"worker", {"a:1"}}, {"some_arbitrary_name", {"b:1"}}}), {"worker", 0});
  });
  expect_invalid({"Unrecognized task_type: foobar"}, [] { validate(full(), {"foobar", 0}); });
}

TEST(RolesTest, ThereIsOneChiefAndOneEvaluatorAtMost) {
  const ClusterSpec chiefs({{"chief", {"a:1", "b:1"}}});
  expect_invalid({"There must be at most one 'chief' job."}, [&] {
    id_in_cluster(chiefs, {"chief", 1});
  });
  const ClusterSpec evaluators({{"worker", {"a:1"}}, {"evaluator", {"b:1", "c:1"}}});
  expect_invalid({"There must be at most one 'evaluator' job."}, [&] {
    validate(evaluators, {"worker", 0});
  });
}

TEST(RolesTest, ParameterServerTrainingNeedsWorkersAndServers) {
  validate_parameter_server(full(), {"ps", 1});
  expect_invalid({"There must be at least one worker."}, [] {
    validate_parameter_server(ClusterSpec({{"chief", {"c:1"}}, {"ps", {"p:1"}}}), {"chief", 0});
  });
  expect_invalid({"There must be at least one ps."}, [] {
    validate_parameter_server(workers(1), {"worker", 0});
  });
}

TEST(RolesTest, TrainingTasksAreTheChiefThenTheWorkers) {
  EXPECT_THAT(training_tasks(full()),
              ElementsAre(Task{"chief", 0}, Task{"worker", 0}, Task{"worker", 1}));
}

}  // namespace
}  // namespace cohort::cluster
