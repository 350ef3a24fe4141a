#include "cohort/cluster/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cohort/cluster/address.h"
#include "cohort/cluster/choose_resolver.h"
#include "cohort/cluster/simple_cluster_resolver.h"
#include "cohort/cluster/slurm_cluster_resolver.h"
#include "cohort/cluster/tf_config_cluster_resolver.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using cohort::testing::expect_invalid;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

Job resolve(Variables variables) { return resolve_job(Environment(std::move(variables))); }

Variables open_mpi(int rank, int size, int local_size) {
  return {{"OMPI_COMM_WORLD_RANK", std::to_string(rank)},
          {"OMPI_COMM_WORLD_SIZE", std::to_string(size)},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", std::to_string(local_size)},
          {"PMIX_NAMESPACE", "2870083585"}};
}

Variables slurm(int rank, const std::string& nodes, const std::string& tasks_per_node, int tasks) {
  return {{"SLURM_JOB_ID", "7"},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_PROCID", std::to_string(rank)},
          {"SLURM_STEP_NUM_TASKS", std::to_string(tasks)},
          {"SLURM_STEP_NODELIST", nodes},
          {"SLURM_STEP_TASKS_PER_NODE", tasks_per_node}};
}

Launcher launcher(Variables variables) {
  return choose_resolver(Environment(std::move(variables))).launcher;
}

Variables operator+(Variables a, const Variables& b) {
  for (const auto& [name, value] : b) a[name] = value;
  return a;
}

TEST(ChooseResolverTest, TfConfigComesFirst) {
  EXPECT_EQ(launcher(open_mpi(0, 2, 2) + Variables{{"TF_CONFIG", "{}"}}), Launcher::kTFConfig);
  EXPECT_EQ(launcher({{"TF_CONFIG", ""}}), Launcher::kNone);
}

TEST(ChooseResolverTest, MpirunWithinASlurmStepIsMpi) {
  EXPECT_EQ(launcher(slurm(0, "n[1-4]", "1(x4)", 4) + open_mpi(1, 4, 4)), Launcher::kMpi);
  EXPECT_EQ(launcher(slurm(0, "n[1-4]", "1(x4)", 4) +
                     Variables{{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALNRANKS", "2"}}),
            Launcher::kMpi);
}

TEST(ChooseResolverTest, SrunWithPmiIsSlurm) {
  const Variables step = slurm(1, "n[1-2]", "1(x2)", 2);
  EXPECT_EQ(launcher(step), Launcher::kSlurm);
  EXPECT_EQ(launcher(step + Variables{{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}), Launcher::kSlurm);
  EXPECT_EQ(launcher(step + Variables{{"PMIX_RANK", "1"}}), Launcher::kSlurm);
}

TEST(ChooseResolverTest, ReasonIsASentenceForAPerson) {
  EXPECT_THAT(choose_resolver(Environment(open_mpi(1, 4, 4))).why,
              HasSubstr("Open MPI: mpirun started this as rank 1 of 4"));
  EXPECT_THAT(choose_resolver(Environment(slurm(1, "n[1-2]", "1(x2)", 2))).why,
              HasSubstr("srun started this as task 1 of 2"));
  EXPECT_THAT(resolve({}).why, HasSubstr("nothing in the environment"));
}

std::shared_ptr<const ClusterResolver> simple(const ClusterSpec& spec,
                                              SimpleClusterOptions options = {}) {
  return std::make_shared<SimpleClusterResolver>(spec, std::move(options));
}

TEST(ProgramsResolverTest, DescribesTheJobWhateverTheEnvironmentSays) {
  const ClusterSpec spec({{"worker", {"a:1", "b:1"}}, {"chief", {"c:1"}}});
  const Environment environment(open_mpi(0, 4, 4));
  const Job job = resolve_job(environment, simple(spec, {.task_type = "worker", .task_id = 1}));
  EXPECT_THAT(job.tasks, ElementsAre(Task{"chief", 0}, Task{"worker", 0}, Task{"worker", 1}));
  EXPECT_EQ(job.self, 2);
  EXPECT_EQ(job.coordinator, "c:1");
  EXPECT_THAT(job.why, HasSubstr("the program has given one"));
  const Job chief = resolve_job(environment, simple(spec, {.task_type = "chief", .task_id = 0}));
  EXPECT_EQ(chief.job_id, job.job_id);
  EXPECT_EQ(resolve_job(environment, nullptr).tasks.size(), 4u);
  EXPECT_EQ(resolve_job(environment, simple(ClusterSpec())).tasks.size(), 1u);
}

TEST(ProgramsResolverTest, OfALauncherIsTreatedAsThatLaunchersOwn) {
  const Variables step = slurm(1, "n[1-2]", "1(x2)", 2);
  const Job chosen = resolve(step);
  const Job given = resolve_job(
      Environment(step),
      std::make_shared<SlurmClusterResolver>(Environment(step), SlurmOptions{.port_base = 0}));
  EXPECT_EQ(given.job_id, chosen.job_id);
  EXPECT_EQ(given.coordinator, chosen.coordinator);
  EXPECT_EQ(given.tasks, chosen.tasks);
  // Its own environment's TF_CONFIG, not that of the process.
  const Variables tf_config{{"TF_CONFIG", R"({"cluster": {"worker": ["a:1", "b:1", "c:1"]},
                        "task": {"type": "worker", "index": 2}})"}};
  const Job tf = resolve_job(Environment(step),
                             std::make_shared<TFConfigClusterResolver>(Environment(tf_config)));
  EXPECT_EQ(tf.tasks.size(), 3u);
  EXPECT_EQ(tf.self, 2);
}

TEST(ProgramsResolverTest, ErrorsNameTheResolver) {
  const ClusterSpec two({{"worker", {"a:1", "b:1"}}});
  expect_invalid({"cluster_resolver: names no task", "task_type and task_id"},
                 [&] { resolve_job(Environment(), simple(two)); });
  expect_invalid({"cluster_resolver: names /job:worker/task:1 but no cluster"}, [&] {
    resolve_job(Environment(), simple(ClusterSpec(), {.task_type = "worker", .task_id = 1}));
  });
  expect_error(Code::kFailedPrecondition, {"whose port nobody knows", "COHORT_COORDINATOR"}, [&] {
    resolve_job(Environment(), simple(ClusterSpec({{"worker", {"a:0", "b:0"}}}),
                                      {.task_type = "worker", .task_id = 1}));
  });
}

TEST(JobTest, NothingIsOneWorker) {
  const Job job = resolve({});
  EXPECT_THAT(job.tasks, ElementsAre(Task{"worker", 0}));
  EXPECT_EQ(job.self, 0);
  EXPECT_EQ(job.coordinator, "");
  EXPECT_THAT(resolve({{"TF_CONFIG", "{}"}}).tasks, ElementsAre(Task{"worker", 0}));
}

TEST(JobTest, BatchScriptOfSlurmIsOneWorker) {
  const Job job = resolve({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}});
  EXPECT_EQ(job.tasks.size(), 1u);
  EXPECT_THAT(job.why, HasSubstr("not a task that srun started"));
}

TEST(JobTest, ChiefLeadsAndWorkersFollow) {
  const Job job = resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["b:1", "c:1"], "chief": ["a:1"],
      "ps": ["p:1"], "evaluator": ["e:1"]}, "task": {"type": "worker", "index": 1}})"}});
  EXPECT_THAT(job.tasks, ElementsAre(Task{"chief", 0}, Task{"worker", 0}, Task{"worker", 1}));
  EXPECT_THAT(job.addresses, ElementsAre("a:1", "b:1", "c:1"));
  EXPECT_EQ(job.self, 2);
  EXPECT_EQ(job.coordinator, "a:1");
}

TEST(JobTest, EvaluatorIsAJobOfItsOwn) {
  const Job job = resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["b:1", "c:1"]},
                                             "task": {"type": "evaluator", "index": 0}})"}});
  EXPECT_THAT(job.tasks, ElementsAre(Task{"evaluator", 0}));
  EXPECT_EQ(job.self, 0);
}

TEST(JobTest, ParameterServerDoesNotTrain) {
  expect_invalid({"/job:ps/task:0", "parameter server"}, [] {
    resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["b:1"], "ps": ["p:1"]},
                               "task": {"type": "ps", "index": 0}})"}});
  });
}

TEST(JobTest, TaskThatIsNotNamedIsAnErrorThatSaysSo) {
  expect_invalid({"names no task", "\"task\": {\"type\""}, [] {
    resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["a:1", "b:1"]}})"}});
  });
  EXPECT_EQ(resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["a:1"]}})"}}).tasks.size(), 1u);
}

TEST(JobTest, NamedTaskWithoutItsClusterIsAnError) {
  for (const char* cluster : {"", R"("cluster": {}, )", R"("clusters": {"worker": ["a:1"]}, )"})
    for (const char* task : {R"({"type": "worker", "index": 1})", R"({"index": 0})"})
      expect_invalid({"TF_CONFIG", "no cluster", "\"cluster\": {\"worker\""}, [&] {
        resolve({{"TF_CONFIG", std::string("{") + cluster + R"("task": )" + task + "}"}});
      });
  EXPECT_THAT(resolve({{"TF_CONFIG", R"({"task": {}})"}}).tasks, ElementsAre(Task{"worker", 0}));
  EXPECT_THAT(resolve({{"TF_CONFIG", R"({"task": {"type": "evaluator", "index": 0}})"}}).tasks,
              ElementsAre(Task{"evaluator", 0}));
}

TEST(JobTest, DynamicWorkersOfTFJobDoNotTrainAlone) {
  const auto sparse = [](const std::string& workers, const std::string& task) {
    return resolve({{"TF_CONFIG", R"({"sparseCluster": {"worker": )" + workers +
                                      R"(, "ps": ["p0:2222"]}, "task": )" + task + "}"}});
  };
  for (const char* index : {"0", "1"})
    expect_error(Code::kFailedPrecondition, {"/job:worker/task:", "sparseCluster", "all workers"},
                 [&] {
                   sparse(std::string(R"({")") + index + R"(": "h:2222"})",
                          std::string(R"({"type": "worker", "index": )") + index + "}");
                 });
  EXPECT_THAT(sparse(R"({"0": "a:1", "2": "b:1"})", R"({"type": "worker", "index": 2})").tasks,
              ElementsAre(Task{"worker", 0}, Task{"worker", 2}));
  EXPECT_THAT(sparse("{}", R"({"type": "evaluator", "index": 0})").tasks,
              ElementsAre(Task{"evaluator", 0}));
}

TEST(JobTest, TaskOutsideOfTheClusterIsAnError) {
  const auto with_task = [](const std::string& task) {
    resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["a:1", "b:1"]}, "task": )" + task + "}"}});
  };
  expect_invalid({"`task_id` 2 exceeds"}, [&] { with_task(R"({"type": "worker", "index": 2})"); });
  expect_invalid({"-1"}, [&] { with_task(R"({"type": "worker", "index": -1})"); });
  expect_invalid({"'chief' not found"}, [&] { with_task(R"({"type": "chief", "index": 0})"); });
  expect_invalid({"foobar"}, [&] { with_task(R"({"type": "foobar", "index": 0})"); });
}

TEST(JobTest, TwoTasksAtOneAddressAreAnError) {
  expect_invalid({"/job:worker/task:0", "/job:worker/task:1", "a:1"}, [] {
    resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["a:1", "a:1"]},
                               "task": {"type": "worker", "index": 0}})"}});
  });
}

TEST(JobTest, AddressWithoutAPortIsAnError) {
  expect_invalid({"worker0", "port"}, [] {
    resolve({{"TF_CONFIG", R"({"cluster": {"worker": ["worker0", "worker1"]},
                               "task": {"type": "worker", "index": 0}})"}});
  });
}

TEST(JobTest, OpenPortsOfOneHostNeedAJobId) {
  const Variables variables = {
      {"TF_CONFIG", R"({"cluster": {"worker": ["127.0.0.1:0", "localhost:0"]},
                                                 "task": {"type": "worker", "index": 1}})"}};
  expect_error(Code::kFailedPrecondition, {"127.0.0.1:0", "COHORT_COORDINATOR"},
               [&] { resolve(variables); });
  const Job job = resolve(variables + Variables{{"COHORT_JOB_ID", "launch-1"}});
  EXPECT_EQ(job.coordinator, "");
  EXPECT_EQ(job.job_id, "launch-1");
}

TEST(JobTest, OpenPortsOfSeveralHostsNeedACoordinator) {
  const Variables variables = {{"COHORT_JOB_ID", "launch-1"},
                               {"TF_CONFIG", R"({"cluster": {"worker": ["a:0", "b:0"]},
                                                 "task": {"type": "worker", "index": 1}})"}};
  expect_error(Code::kFailedPrecondition, {"COHORT_COORDINATOR"}, [&] { resolve(variables); });
  const Job job = resolve(variables + Variables{{"COHORT_COORDINATOR", "a:4000"}});
  EXPECT_EQ(job.coordinator, "a:4000");
  EXPECT_THAT(job.addresses, ElementsAre("a:4000", "b:0"));
  expect_invalid({"COHORT_COORDINATOR", "a:0"}, [&] {
    resolve(variables + Variables{{"COHORT_COORDINATOR", "a:0"}});
  });
}

TEST(JobTest, RanksOfOneHostFindTheLeaderByPublication) {
  const Job job = resolve(open_mpi(1, 4, 4));
  EXPECT_EQ(job.tasks.size(), 4u);
  EXPECT_EQ(job.self, 1);
  EXPECT_EQ(job.coordinator, "");
  EXPECT_EQ(job.job_id, resolve(open_mpi(2, 4, 4)).job_id);
  EXPECT_NE(job.job_id, resolve(open_mpi(1, 4, 4) + Variables{{"PMIX_NAMESPACE", "7"}}).job_id);
}

TEST(JobTest, RanksOfSeveralHostsUseTheCoordinator) {
  const Job job = resolve(open_mpi(3, 4, 2) + Variables{{"COHORT_COORDINATOR", "node1:4000"}});
  EXPECT_EQ(job.coordinator, "node1:4000");
  EXPECT_THAT(job.addresses, ElementsAre("node1:4000", "", "", ""));
}

TEST(JobTest, SlurmNodesAgreeOnTheLeadersPort) {
  const Job job = resolve(slurm(3, "n[9-10]", "2(x2)", 4));
  EXPECT_THAT(job.advice_on_names, HasSubstr("COHORT_NODE_ADDRESSES="));
  EXPECT_EQ(job.self, 3);
  const Address leader = parse_address(job.coordinator);
  EXPECT_EQ(leader.host, "n9");
  EXPECT_GE(leader.port, 1024);
  EXPECT_LT(leader.port, 32768) << "ports from here on are given to clients";
  EXPECT_THAT(job.addresses, ElementsAre(job.coordinator, "n9:0", "n10:0", "n10:0"));
  EXPECT_EQ(resolve(slurm(0, "n[9-10]", "2(x2)", 4)).coordinator, job.coordinator);
  const Variables next = {{"SLURM_STEP_ID", "1"}};
  EXPECT_NE(resolve(slurm(0, "n[9-10]", "2(x2)", 4) + next).coordinator, job.coordinator);
  EXPECT_NE(resolve(slurm(0, "n[9-10]", "2(x2)", 4) + next).job_id, job.job_id);
}

TEST(JobTest, SlurmStepOfOneNodeFindsTheLeaderByPublication) {
  const Job job = resolve(slurm(1, "n1", "4", 4));
  EXPECT_EQ(job.tasks.size(), 4u);
  EXPECT_EQ(job.coordinator, "");
  EXPECT_THAT(job.job_id, HasSubstr("7.0"));
}

TEST(JobTest, IndexedJobHasFixedAddresses) {
  const Job job = resolve({{"JOB_COMPLETION_INDEX", "1"},
                           {"HOSTNAME", "train-1"},
                           {"COHORT_NUM_WORKERS", "2"},
                           {"COHORT_SERVICE", "workers"}});
  EXPECT_EQ(job.self, 1);
  EXPECT_EQ(job.coordinator, "train-0.workers:2222");
}

}  // namespace
}  // namespace cohort::cluster
