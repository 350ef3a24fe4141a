#include "launch/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cohort/cluster/job.h"
#include "tests/support/expect_error.h"

namespace cohort::launch {
namespace {

using cohort::testing::expect_invalid;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

cluster::Job job_of(const std::vector<std::string>& environment) {
  std::map<std::string, std::string> variables;
  for (const std::string& variable : environment) {
    const size_t equals = variable.find('=');
    variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  return cluster::resolve_job(cluster::Environment(variables));
}

TEST(PlanTest, WorkersOfOneHostListenAtAnyPort) {
  const auto processes = plan({.num_workers = 3, .command = {"train", "x"}}, "job", 0);
  ASSERT_EQ(processes.size(), 3u);
  EXPECT_THAT(processes[2].command, ElementsAre("train", "x"));
  EXPECT_EQ(processes[2].name, "worker 2");
  const cluster::Job job = job_of(processes[2].environment);
  EXPECT_EQ(job.self, 2);
  EXPECT_THAT(job.addresses, ElementsAre("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"));
  EXPECT_EQ(job.coordinator, "") << "found by publication";
  EXPECT_EQ(job.job_id, "job");
}

TEST(PlanTest, PortIsTheFirstOfAHosts) {
  const auto local = plan({.num_workers = 2, .port = 4000, .command = {"x"}}, "job", 0);
  EXPECT_THAT(job_of(local[1].environment).addresses,
              ElementsAre("127.0.0.1:4000", "127.0.0.1:4001"));
  const auto remote =
      plan({.hosts = {{"a", 2}, {"b", 1}}, .port = 4000, .command = {"x"}}, "job", 0);
  EXPECT_THAT(remote[2].input, HasSubstr(R"("a:4000","a:4001","b:4000")"));
}

TEST(PlanTest, WorkersOfSeveralHostsKnowTheLeadersPort) {
  const LaunchOptions options = {
      .hosts = {{"a", 2}, {"b", 2}}, .forward = {"KEY=it's"}, .command = {"train"}};
  const auto processes = plan(options, "job", 1);
  ASSERT_EQ(processes.size(), 4u);
  EXPECT_THAT(processes[3].command, Contains("ssh"));
  EXPECT_THAT(processes[3].command, Contains("b"));
  EXPECT_TRUE(processes[3].remote);
  const std::string& input = processes[3].input;
  EXPECT_THAT(input, StartsWith("6\nexport COHORT_JOB_ID='job'\n"));
  EXPECT_THAT(input, HasSubstr("export COHORT_COORDINATOR='a:2"));
  EXPECT_THAT(input, HasSubstr("export COHORT_RESTART_COUNT='1'\n"));
  EXPECT_THAT(input, HasSubstr("export KEY='it'\\''s'\n"));
}

TEST(PlanTest, NoVariableIsInACommandLine) {
  const LaunchOptions options = {.hosts = {{"a", 1}, {"localhost.invalid", 1}},
                                 .forward = {"TOKEN=of-the-user"},
                                 .secret = "of-the-job",
                                 .secret_descriptor = 100,
                                 .command = {"train"}};
  for (const Process& process : plan(options, "the-id", 0))
    for (const std::string& word : process.command)
      for (const char* text : {"of-the", "TOKEN", "SECRET", "TF_CONFIG", "the-id"})
        EXPECT_THAT(word, Not(HasSubstr(text)));
}

TEST(PlanTest, WorkersGetTheSecret) {
  const LaunchOptions far = {.hosts = {{"a", 1}, {"b", 1}},
                             .secret = "of-the-job",
                             .secret_descriptor = 100,
                             .command = {"train"}};
  EXPECT_THAT(plan(far, "job", 0)[1].input, HasSubstr("export COHORT_JOB_SECRET='of-the-job'\n"));
  const LaunchOptions here = {
      .num_workers = 2, .secret = "of-the-job", .secret_descriptor = 100, .command = {"train"}};
  const Process worker = plan(here, "job", 0)[1];
  EXPECT_THAT(worker.environment, Contains(StartsWith("COHORT_JOB_SECRET_FD=100@")));
  EXPECT_THAT(worker.environment, Not(Contains(HasSubstr("of-the-job"))));
}

TEST(PlanTest, VariablesThatCannotBePassedOnAreErrors) {
  expect_invalid({"'a.b'"}, [] { remote_input({"a.b=1"}); });
  expect_invalid({"'x;rm'"}, [] { remote_input({"x;rm=1"}); });
  expect_invalid({"bytes of variables"}, [] { remote_input({"A=" + std::string(70'000, 'x')}); });
  EXPECT_EQ(remote_input({"A=1\n2"}), "2\nexport A='1\n2'\n");
}

TEST(PlanTest, FewerWorkersThanSlotsFillTheFirstHosts) {
  const auto processes =
      plan({.num_workers = 3, .hosts = {{"a", 2}, {"b", 2}}, .command = {"x"}}, "job", 0);
  ASSERT_EQ(processes.size(), 3u);
  EXPECT_THAT(processes[2].command, Contains("b"));
}

TEST(PlanTest, CpusAreSharedOut) {
  const auto processes = plan({.num_workers = 1, .command = {"x"}}, "job", 0);
  EXPECT_FALSE(processes[0].cpus.empty());
  const auto many = plan({.num_workers = 4096, .command = {"x"}}, "job", 0);
  EXPECT_THAT(many[0].cpus, IsEmpty());
  EXPECT_THAT(many[0].environment, Contains("OMP_NUM_THREADS=1"));
  const auto free = plan({.num_workers = 1, .bind = false, .command = {"x"}}, "job", 0);
  EXPECT_THAT(free[0].cpus, IsEmpty());
}

TEST(PlanTest, OptionsThatContradictEachOtherAreErrors) {
  expect_invalid({"no program"}, [] { plan({.num_workers = 1}, "job", 0); });
  expect_invalid({"no workers"}, [] { plan({.command = {"x"}}, "job", 0); });
  expect_invalid({"5 workers for 3 slots"}, [] {
    plan({.num_workers = 5, .hosts = {{"a", 1}, {"b", 2}}, .command = {"x"}}, "job", 0);
  });
  expect_invalid({"localhost beside other hosts"}, [] {
    plan({.hosts = {{"localhost", 1}, {"b", 1}}, .command = {"x"}}, "job", 0);
  });
  expect_invalid({"port 65535"},
                 [] { plan({.num_workers = 2, .port = 65535, .command = {"x"}}, "job", 0); });
}

TEST(PlanTest, QuotedTextIsOneWordOfAShell) {
  EXPECT_EQ(quote("a b"), "'a b'");
  EXPECT_EQ(quote("it's"), "'it'\\''s'");
}

}  // namespace
}  // namespace cohort::launch
