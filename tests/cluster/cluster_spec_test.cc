#include "cohort/cluster/cluster_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_invalid;
using ::testing::ElementsAre;

ClusterSpec mixed() {
  return ClusterSpec::sparse({{"ps", {{0, "ps0:1111"}, {1, "ps1:1111"}}},
                              {"worker", {{0, "w0:1"}, {1, "w1:1"}, {2, "w2:1"}}},
                              {"sparse", {{0, "a0:1"}, {3, "a3:1"}}}});
}

TEST(ClusterSpecTest, PrintsJobsByName) {
  const ClusterSpec spec({{"worker", {"worker0:3333", "worker1:4444"}}, {"ps", {"ps0:1111"}}});
  EXPECT_EQ(spec.to_string(),
            "ClusterSpec({'ps': ['ps0:1111'], 'worker': ['worker0:3333', 'worker1:4444']})");
  EXPECT_EQ(ClusterSpec::sparse({{"s", {{0, "a0:1"}, {3, "a3:1"}}}}).to_string(),
            "ClusterSpec({'s': {0: 'a0:1', 3: 'a3:1'}})");
  EXPECT_EQ(ClusterSpec().to_string(), "ClusterSpec({})");
  EXPECT_EQ(ClusterSpec(ClusterSpec::DenseJobs{{"worker", {}}}).to_string(),
            "ClusterSpec({'worker': {}})");
}

TEST(ClusterSpecTest, AccessorsServeDenseAndSparseJobs) {
  const ClusterSpec spec = mixed();
  EXPECT_THAT(spec.jobs(), ElementsAre("ps", "sparse", "worker"));
  EXPECT_EQ(spec.num_tasks("ps"), 2);
  EXPECT_EQ(spec.num_tasks("worker"), 3);
  EXPECT_EQ(spec.num_tasks("sparse"), 2);
  EXPECT_THAT(spec.task_indices("sparse"), ElementsAre(0, 3));
  EXPECT_THAT(spec.job_tasks("sparse"), ElementsAre("a0:1", std::nullopt, std::nullopt, "a3:1"));
  EXPECT_THAT(spec.job_tasks("ps"), ElementsAre("ps0:1111", "ps1:1111"));
  EXPECT_EQ(spec.task_address("sparse", 3), "a3:1");
  EXPECT_EQ(spec.task_address({"worker", 2}), "w2:1");
  EXPECT_TRUE(spec.has_task({"sparse", 3}));
  EXPECT_FALSE(spec.has_task({"sparse", 2}));
  EXPECT_FALSE(spec.has_task({"unknown", 0}));
}

TEST(ClusterSpecTest, AbsentJobsAndTasksAreErrors) {
  const ClusterSpec spec = mixed();
  expect_invalid({"index 2", "'sparse'"}, [&] { spec.task_address("sparse", 2); });
  expect_invalid({"index -1", "'ps'"}, [&] { spec.task_address("ps", -1); });
  expect_invalid({"unknown"}, [&] { spec.task_address("unknown", 0); });
  expect_invalid({"unknown"}, [&] { spec.num_tasks("unknown"); });
  expect_invalid({"unknown"}, [&] { spec.task_indices("unknown"); });
  expect_invalid({"unknown"}, [&] { spec.job_tasks("unknown"); });
}

TEST(ClusterSpecTest, CopyThroughTheMapIsEqual) {
  EXPECT_EQ(ClusterSpec::sparse(mixed().as_map()), mixed());
}

TEST(ClusterSpecTest, IndicesFromZeroAreADenseJob) {
  EXPECT_EQ(ClusterSpec::sparse({{"worker", {{0, "x:1"}}}}), ClusterSpec({{"worker", {"x:1"}}}));
}

TEST(ClusterSpecTest, OrderOfTasksMattersForEquality) {
  EXPECT_NE(ClusterSpec({{"worker", {"a:1", "b:1"}}}), ClusterSpec({{"worker", {"b:1", "a:1"}}}));
}

TEST(ClusterSpecTest, JobWithoutTasksIsAJob) {
  const ClusterSpec spec(ClusterSpec::DenseJobs{{"worker", {}}});
  EXPECT_FALSE(spec.empty());
  EXPECT_EQ(spec.num_tasks("worker"), 0);
  EXPECT_THAT(spec.job_tasks("worker"), ElementsAre());
  EXPECT_TRUE(ClusterSpec().empty());
}

TEST(ClusterSpecTest, IndicesThatWouldSizeMemoryAreRefused) {
  expect_invalid({"index -1"}, [] { ClusterSpec::sparse({{"worker", {{-1, "a:1"}}}}); });
  expect_invalid({"index 2000000000"}, [] {
    ClusterSpec::sparse({{"worker", {{2000000000, "a:1"}}}});
  });
}

}  // namespace
}  // namespace cohort::cluster
