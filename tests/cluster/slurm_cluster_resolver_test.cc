#include "cohort/cluster/slurm_cluster_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/resolver_support.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using cohort::testing::expect_invalid;
using testing::addresses;
using ::testing::ElementsAre;
using Variables = std::map<std::string, std::string>;

// A step on three nodes, with `more` variables.
SlurmClusterResolver step(int rank, int tasks, Variables more, SlurmOptions options = {}) {
  Variables variables = {{"SLURM_PROCID", std::to_string(rank)},
                         {"SLURM_STEP_NUM_TASKS", std::to_string(tasks)},
                         {"SLURM_STEP_NODELIST", "t02n13,t02n41,t02n43"}};
  variables.merge(more);
  return SlurmClusterResolver(Environment(variables), std::move(options));
}

SlurmOptions one_server_two_workers() {
  return {.jobs = {{"ps", 1}, {"worker", 2}},
          .port_base = 8888,
          .gpus_per_node = 1,
          .gpus_per_task = 1,
          .tasks_per_node = 1};
}

TEST(SlurmClusterResolverTest, AllTasksAreWorkersByDefault) {
  const auto slurm =
      step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}, {"CUDA_VISIBLE_DEVICES", "0"}});
  EXPECT_THAT(addresses(slurm.cluster_spec(), "worker"),
              ElementsAre("t02n13:8888", "t02n41:8888", "t02n43:8888"));
  EXPECT_EQ(slurm.master("worker", 0, "grpc"), "grpc://t02n13:8888");
  EXPECT_EQ(slurm.num_accelerators(), (Accelerators{{"GPU", 1}}));
  EXPECT_EQ(slurm.visible_devices(), "0");
}

TEST(SlurmClusterResolverTest, TasksFillTheJobsInOrder) {
  const auto slurm = step(0, 3, {}, one_server_two_workers());
  EXPECT_THAT(addresses(slurm.cluster_spec(), "ps"), ElementsAre("t02n13:8888"));
  EXPECT_THAT(addresses(slurm.cluster_spec(), "worker"), ElementsAre("t02n41:8888", "t02n43:8888"));
  EXPECT_EQ(slurm.task_type(), "ps");
  EXPECT_EQ(slurm.task_id(), 0);
  const auto last = step(2, 3, {}, one_server_two_workers());
  EXPECT_EQ(last.task_type(), "worker");
  EXPECT_EQ(last.task_id(), 1);
}

TEST(SlurmClusterResolverTest, MasterFollowsOverridesAndLayer) {
  SlurmOptions options = one_server_two_workers();
  options.overrides = {.task_type = "worker", .task_id = 1, .rpc_layer = "grpc"};
  const auto slurm = step(0, 3, {}, options);
  EXPECT_EQ(slurm.master(), "grpc://t02n43:8888");
  EXPECT_EQ(slurm.master("ps", 0, "ab"), "ab://t02n13:8888");
  options.overrides.rpc_layer = "test";
  EXPECT_EQ(step(0, 3, {}, options).master("ps", 0), "test://t02n13:8888");
}

TEST(SlurmClusterResolverTest, TaskCountsComeFromTheStep) {
  SlurmOptions options = one_server_two_workers();
  options.tasks_per_node.reset();
  const auto slurm = step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}}, options);
  EXPECT_EQ(slurm.cluster_spec(), step(0, 3, {}, one_server_two_workers()).cluster_spec());
}

TEST(SlurmClusterResolverTest, TasksOfANodeShareOutItsGpus) {
  const Variables more = {{"SLURM_STEP_TASKS_PER_NODE", "2(x2),1"}, {"CUDA_VISIBLE_DEVICES", ""}};
  SlurmOptions options = {
      .jobs = {{"ps", 1}, {"worker", 4}}, .gpus_per_node = 2, .gpus_per_task = 1};
  const auto slurm = step(1, 5, more, options);
  EXPECT_THAT(addresses(slurm.cluster_spec(), "ps"), ElementsAre("t02n13:8888"));
  EXPECT_THAT(addresses(slurm.cluster_spec(), "worker"),
              ElementsAre("t02n13:8889", "t02n41:8888", "t02n41:8889", "t02n43:8888"));
  EXPECT_EQ(slurm.visible_devices(), "1");
  options.gpus_per_node = 4;
  options.gpus_per_task = 2;
  EXPECT_EQ(step(1, 5, more, options).visible_devices(), "2,3");
  EXPECT_EQ(step(1, 5, more, options).cluster_spec(), slurm.cluster_spec());
}

TEST(SlurmClusterResolverTest, GpusAreDividedAmongTheTasksOfANode) {
  const Variables more = {{"SLURM_STEP_NODELIST", "t02n13,t02n41"},
                          {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"},
                          {"CUDA_VISIBLE_DEVICES", "0,1,2,3"}};
  const auto make = [&](int rank) {
    Variables variables = more;
    variables["SLURM_PROCID"] = std::to_string(rank);
    variables["SLURM_STEP_NUM_TASKS"] = "4";
    return SlurmClusterResolver(Environment(variables));
  };
  EXPECT_THAT(addresses(make(0).cluster_spec(), "worker"),
              ElementsAre("t02n13:8888", "t02n13:8889", "t02n41:8888", "t02n41:8889"));
  EXPECT_EQ(make(0).visible_devices(), "0,1");
  EXPECT_EQ(make(1).visible_devices(), "2,3");
  EXPECT_EQ(make(1).num_accelerators(), (Accelerators{{"GPU", 2}}));
}

TEST(SlurmClusterResolverTest, PortsBeginAtPortBase) {
  const Variables variables = {{"SLURM_PROCID", "0"}, {"SLURM_STEP_NODELIST", "t02n13,t02n41"}};
  const SlurmClusterResolver slurm(Environment(variables), {.jobs = {{"ps", 1}, {"worker", 3}},
                                                            .port_base = 1337,
                                                            .gpus_per_node = 2,
                                                            .gpus_per_task = 1,
                                                            .tasks_per_node = 2});
  EXPECT_THAT(addresses(slurm.cluster_spec(), "ps"), ElementsAre("t02n13:1337"));
  EXPECT_THAT(addresses(slurm.cluster_spec(), "worker"),
              ElementsAre("t02n13:1338", "t02n41:1337", "t02n41:1338"));
}

TEST(SlurmClusterResolverTest, PortBaseZeroLeavesThePortsOpen) {
  const auto slurm = step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}}, {.port_base = 0});
  EXPECT_EQ(slurm.cluster_spec().task_address("worker", 2), "t02n43:0");
}

TEST(SlurmClusterResolverTest, OutsideOfAStepIsAnError) {
  expect_error(Code::kFailedPrecondition,
               {"SLURM_PROCID not found in environment. Not running inside a SLURM step?"},
               [] { SlurmClusterResolver{Environment()}; });
  expect_error(Code::kFailedPrecondition, {"SLURM_STEP_TASKS_PER_NODE not found"},
               [] { step(0, 3, {}); });
}

TEST(SlurmClusterResolverTest, MoreGpusThanANodeHasIsAnError) {
  SlurmOptions options = one_server_two_workers();
  options.gpus_per_task = 2;
  expect_error(Code::kFailedPrecondition, {"Requested more GPUs per node than available."},
               [&] { step(0, 3, {}, options); });
}

TEST(SlurmClusterResolverTest, MoreTasksThanTheStepHasIsAnError) {
  SlurmOptions options = one_server_two_workers();
  options.jobs["worker"] = 3;
  expect_error(Code::kFailedPrecondition, {"Requested 4 tasks but only 3 were assigned."},
               [&] { step(0, 3, {}, options); });
}

TEST(SlurmClusterResolverTest, VariablesThatContradictEachOtherAreErrors) {
  expect_invalid({"3 nodes", "2"}, [] { step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "2,1"}}); });
  expect_invalid({"SLURM_PROCID", "7"}, [] {
    step(7, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}});
  });
  expect_invalid({"SLURM_LOCALID", "'x'"}, [] {
    step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}, {"SLURM_LOCALID", "x"}});
  });
  expect_invalid({"port_base"}, [] {
    step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}}, {.port_base = 65536});
  });
}

TEST(SlurmClusterResolverTest, NoGpusIsNoError) {
  const auto slurm =
      step(0, 3, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}, {"CUDA_VISIBLE_DEVICES", ""}});
  EXPECT_EQ(slurm.num_accelerators(), Accelerators{});
  EXPECT_EQ(slurm.visible_devices(), std::nullopt);
}

TEST(SlurmClusterResolverTest, TaskKeepsTheOneGpuThatSlurmGaveIt) {
  const auto slurm =
      step(1, 5, {{"SLURM_STEP_TASKS_PER_NODE", "2(x2),1"}, {"CUDA_VISIBLE_DEVICES", "3"}});
  EXPECT_EQ(slurm.num_accelerators(), (Accelerators{{"GPU", 1}}));
  EXPECT_EQ(slurm.visible_devices(), "3");
}

TEST(SlurmClusterResolverTest, NamesOfGpusAreTheAllocations) {
  const auto slurm =
      step(1, 5, {{"SLURM_STEP_TASKS_PER_NODE", "2(x2),1"}, {"CUDA_VISIBLE_DEVICES", "4,7"}});
  EXPECT_EQ(slurm.visible_devices(), "7");
}

TEST(SlurmClusterResolverTest, TaskZeroIsOnTheFirstNodeOfTheList) {
  const SlurmClusterResolver slurm(Environment({{"SLURM_PROCID", "0"},
                                                {"SLURM_STEP_NUM_TASKS", "2"},
                                                {"SLURM_STEP_NODELIST", "n[9-10]"},
                                                {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"}}));
  EXPECT_THAT(addresses(slurm.cluster_spec(), "worker"), ElementsAre("n9:8888", "n10:8888"));
}

TEST(SlurmClusterResolverTest, TasksFollowTheDistribution) {
  const Variables counts = {{"SLURM_STEP_TASKS_PER_NODE", "3,2,1"}};
  const auto with = [&](const std::string& distribution) {
    Variables more = counts;
    more["SLURM_DISTRIBUTION"] = distribution;
    return addresses(step(0, 6, more).cluster_spec(), "worker");
  };
  EXPECT_THAT(with("block"), ElementsAre("t02n13:8888", "t02n13:8889", "t02n13:8890", "t02n41:8888",
                                         "t02n41:8889", "t02n43:8888"));
  EXPECT_THAT(with("cyclic:block"), ElementsAre("t02n13:8888", "t02n41:8888", "t02n43:8888",
                                                "t02n13:8889", "t02n41:8889", "t02n13:8890"));
  EXPECT_THAT(with("plane=2"), ElementsAre("t02n13:8888", "t02n13:8889", "t02n41:8888",
                                           "t02n41:8889", "t02n43:8888", "t02n13:8890"));
  expect_invalid({"plane"}, [&] { with("plane=0"); });
  expect_error(Code::kFailedPrecondition, {"arbitrary"}, [&] { with("arbitrary"); });
}

TEST(SlurmClusterResolverTest, TaskThatRunsElsewhereIsAnError) {
  expect_error(Code::kFailedPrecondition, {"task 1 ", "node 1", "--distribution=block"}, [] {
    step(1, 6,
         {{"SLURM_STEP_TASKS_PER_NODE", "2(x3)"}, {"SLURM_NODEID", "1"}, {"SLURM_LOCALID", "0"}});
  });
  const auto right =
      step(1, 6,
           {{"SLURM_STEP_TASKS_PER_NODE", "2(x3)"}, {"SLURM_NODEID", "0"}, {"SLURM_LOCALID", "1"}});
  EXPECT_EQ(right.task_id(), 1);
}

TEST(SlurmClusterResolverTest, AddressesReplaceNamesThatDoNotResolve) {
  const Variables counts = {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}};
  Variables more = counts;
  more["COHORT_NODE_ADDRESSES"] = "t02n13=10.0.0.1,t02n43=::1";
  EXPECT_THAT(addresses(step(0, 3, more).cluster_spec(), "worker"),
              ElementsAre("10.0.0.1:8888", "t02n41:8888", "[::1]:8888"));
  EXPECT_THAT(step(0, 3, counts).advice_on_names(),
              ::testing::HasSubstr("COHORT_NODE_ADDRESSES=node1=10.0.0.1,node2=10.0.0.2"));
  more["COHORT_NODE_ADDRESSES"] = "t02n13";
  expect_invalid({"COHORT_NODE_ADDRESSES", "t02n13"}, [&] { step(0, 3, more); });
}

}  // namespace
}  // namespace cohort::cluster
