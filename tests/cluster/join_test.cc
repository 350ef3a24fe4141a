#include "cohort/cluster/join.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "cohort/cluster/endpoint.h"
#include "cohort/cluster/rpc.h"
#include "tests/cluster/task_process.h"
#include "tests/support/built_with.h"
#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Processes = std::vector<std::unique_ptr<TaskProcess>>;

constexpr std::chrono::seconds kNoticed(10);  // what the design promises at the default settings

std::string why_no_grpc() {
  try {
    rpc_module();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// Tasks as processes that meet over gRPC on this machine.
class JoinProcessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_grpc(); !why.empty()) GTEST_SKIP() << why;
  }

  // The leader, then the others, who know its port.
  Processes launch(TaskPlan plan) {
    Processes processes;
    processes.push_back(std::make_unique<TaskProcess>(plan));
    plan.coordinator = processes[0]->wait_for("bound");
    for (plan.self = 1; plan.self < plan.num_tasks; ++plan.self)
      processes.push_back(std::make_unique<TaskProcess>(plan));
    return processes;
  }
  Processes start(const TaskPlan& plan) {
    Processes processes = launch(plan);
    for (auto& process : processes) process->wait_for("started");
    return processes;
  }
  // Every task but `gone` fails with Unavailable, soon, naming it.
  void expect_noticed(Processes& processes, size_t gone) {
    for (size_t i = 0; i < processes.size(); ++i) {
      if (i == gone) continue;
      EXPECT_THAT(
          processes[i]->wait_for("failed", kNoticed),
          AllOf(StartsWith("Unavailable"), HasSubstr("/job:worker/task:" + std::to_string(gone))));
      EXPECT_EQ(processes[i]->wait_for_exit(), 3);
    }
  }
};

TEST_F(JoinProcessTest, TasksMeetAndLeave) {
  Processes processes = start({.num_tasks = 4});
  for (auto& process : processes) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(JoinProcessTest, KilledTaskIsNoticed) {
  Processes processes = start({.num_tasks = 3, .then = "wait"});
  processes[1]->signal(SIGKILL);
  expect_noticed(processes, 1);
}

TEST_F(JoinProcessTest, KilledLeaderIsNoticed) {
  Processes processes = start({.num_tasks = 3, .then = "wait"});
  processes[0]->signal(SIGKILL);
  expect_noticed(processes, 0);
}

TEST_F(JoinProcessTest, StoppedTaskIsNoticed) {
  Processes processes = start({.num_tasks = 3, .then = "wait"});
  processes[2]->signal(SIGSTOP);
  expect_noticed(processes, 2);
  processes[2]->signal(SIGCONT);
  EXPECT_THAT(processes[2]->wait_for("failed"), StartsWith("Unavailable"));
}

TEST_F(JoinProcessTest, StoppedLeaderIsNoticed) {
  Processes processes = start({.num_tasks = 2, .then = "wait"});
  processes[0]->signal(SIGSTOP);
  expect_noticed(processes, 0);
  processes[0]->signal(SIGCONT);
  EXPECT_THAT(processes[0]->wait_for("failed"), StartsWith("Unavailable"));
}

TEST_F(JoinProcessTest, AReportedErrorHasBeenHeardWhenItsTaskEnds) {
  for (const size_t last : {0u, 2u}) {
    Processes processes = launch({.num_tasks = 3, .then = "last_words_of_" + std::to_string(last)});
    EXPECT_EQ(processes[last]->wait_for_exit(), 5);
    for (size_t i = 0; i < processes.size(); ++i) {
      if (i == last) continue;
      EXPECT_EQ(processes[i]->wait_for("failed"),
                "DataLoss /job:worker/task:" + std::to_string(last) + ": a broken file");
    }
  }
}

TEST_F(JoinProcessTest, ASuspendedClusterGoesOn) {
  Processes processes = start({.num_tasks = 3, .then = "wait"});
  for (const auto& process : processes) process->signal(SIGSTOP);
  // What the test is about is that time passes: longer than a silent task lives.
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(8);
       std::chrono::steady_clock::now() < until;)
    std::this_thread::sleep_until(until);
  for (const auto& process : processes) process->signal(SIGCONT);
  // Alive: they hear of the next failure, and blame the stop on nobody.
  processes[1]->signal(SIGKILL);
  expect_noticed(processes, 1);
}

TEST_F(JoinProcessTest, TaskKilledAtStartUpIsNoticed) {
  TaskPlan plan{.num_tasks = 3};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  TaskProcess task(plan);
  while (leader.wait_for("log").find("1 of 3 tasks is missing") == std::string::npos)
    if (HasFailure()) return;
  task.signal(SIGKILL);
  EXPECT_THAT(leader.wait_for("failed", kNoticed),
              AllOf(StartsWith("Unavailable"), HasSubstr("/job:worker/task:1")));
}

TEST_F(JoinProcessTest, ReportedErrorReachesAll) {
  TaskPlan plan{.num_tasks = 2, .then = "wait"};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.then = "report";
  TaskProcess reporter(plan);
  for (TaskProcess* process : {&leader, &reporter})
    EXPECT_THAT(process->wait_for("failed"), StartsWith("Internal /job:worker/task:1: a bug"));
}

TEST_F(JoinProcessTest, StartUpNamesWhoIsMissingAndWhy) {
  TaskPlan plan{.num_tasks = 3,
                .startup_ms = 5000,
                .addresses = "localhost:1,localhost:2,no-such-host.invalid:2222",
                .advice_on_names = "want better names"};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.startup_ms = 30'000;
  TaskProcess task(plan);
  const auto names = AllOf(HasSubstr("1 of 3 tasks is missing: /job:worker/task:2 at "
                                     "no-such-host.invalid:2222"),
                           HasSubstr("does not resolve"), HasSubstr("; want better names"));
  EXPECT_THAT(leader.wait_for("failed"), AllOf(StartsWith("DeadlineExceeded"), names));
  EXPECT_THAT(task.wait_for("failed"), AllOf(StartsWith("DeadlineExceeded"), names));
}

TEST_F(JoinProcessTest, LeaderThatDoesNotComeIsNamedWithTheReason) {
  TaskProcess refused({.self = 1, .coordinator = "localhost:1", .startup_ms = 3000});
  TaskProcess unknown({.self = 1,
                       .coordinator = "no-such-host.invalid:2222",
                       .startup_ms = 3000,
                       .advice_on_names = "want better names"});
  EXPECT_THAT(refused.wait_for("log"), HasSubstr("connection refused"));
  EXPECT_THAT(refused.wait_for("failed"),
              AllOf(StartsWith("DeadlineExceeded"), HasSubstr("/job:worker/task:0"),
                    HasSubstr("localhost:1"), HasSubstr("connection refused")));
  EXPECT_THAT(unknown.wait_for("failed"),
              AllOf(StartsWith("DeadlineExceeded"), HasSubstr("does not resolve"),
                    HasSubstr("; want better names")));
  TaskProcess leader({.num_tasks = 2,
                      .coordinator = "no-such-host.invalid:2222",
                      .advice_on_names = "want better names"});
  EXPECT_THAT(leader.wait_for("failed"),
              AllOf(StartsWith("NotFound"), HasSubstr("does not resolve"),
                    HasSubstr("; want better names")));
}

TEST_F(JoinProcessTest, SecondTaskOfOneNameIsToldWhereTheFirstIs) {
  TaskPlan plan{.num_tasks = 3};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  TaskProcess first(plan);
  while (leader.wait_for("log").find("1 of 3 tasks is missing") == std::string::npos)
    if (HasFailure()) return;
  TaskProcess second(plan);
  EXPECT_THAT(second.wait_for("failed"),
              AllOf(StartsWith("AlreadyExists"), HasSubstr("/job:worker/task:1"),
                    HasSubstr("process " + std::to_string(first.pid()))));
  EXPECT_EQ(second.wait_for_exit(), 3);
}

TEST_F(JoinProcessTest, StrangersAreSentAwayAndListed) {
  TaskPlan plan{.num_tasks = 2, .startup_ms = 6000};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.job_id = "other";
  TaskProcess stranger(plan);
  EXPECT_THAT(stranger.wait_for("failed"),
              AllOf(StartsWith("InvalidArgument"), HasSubstr("'other'"), Not(HasSubstr("'job'"))))
      << "it is not told what to say next time";
  EXPECT_THAT(
      leader.wait_for("failed"),
      AllOf(StartsWith("DeadlineExceeded"), HasSubstr("/job:worker/task:1"), HasSubstr("'other'")));
}

TEST_F(JoinProcessTest, OtherVersionIsRefusedAloneAndListed) {
  TaskPlan plan{.num_tasks = 2};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.version = "2";
  TaskProcess other(plan);
  const auto differs = AllOf(HasSubstr("/job:worker/task:1"), HasSubstr("'2'"), HasSubstr("'1'"));
  EXPECT_THAT(other.wait_for("failed"), AllOf(StartsWith("FailedPrecondition"), differs));
  std::string line;
  while (line.find("runs version") == std::string::npos && !HasFailure())
    line = leader.wait_for("log");
  EXPECT_THAT(line, differs);
  plan.version = "1";
  TaskProcess right(plan);
  for (TaskProcess* process : {&leader, &right}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(JoinProcessTest, TasksWithTheSecretMeetAndOthersAreRefused) {
  TaskPlan plan{.num_tasks = 2, .secret = "0123456789abcdef-of-a-job"};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  TaskPlan stranger = plan;
  stranger.secret = "another-secret-of-a-job";
  EXPECT_THAT(TaskProcess(stranger).wait_for("failed"),
              AllOf(StartsWith("PermissionDenied"), HasSubstr("the leader /job:worker/task:0"),
                    HasSubstr("same secret")));
  stranger.secret = "";
  EXPECT_THAT(TaskProcess(stranger).wait_for("failed"),
              AllOf(StartsWith("FailedPrecondition"), HasSubstr("wants the job's secret")));
  std::string line;
  while (line.find("came without the job's secret") == std::string::npos && !HasFailure())
    line = leader.wait_for("log");
  TaskProcess task(plan);
  for (TaskProcess* process : {&leader, &task}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(JoinProcessTest, TaskDoesNotFollowALeaderWithoutItsSecret) {
  TaskPlan plan{.num_tasks = 2};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.secret = "0123456789abcdef-of-a-job";
  EXPECT_THAT(TaskProcess(plan).wait_for("failed"),
              AllOf(StartsWith("FailedPrecondition"), HasSubstr("knows no secret")));
}

TEST_F(JoinProcessTest, TasksOfOneHostShareASecretThatNobodyGave) {
  TaskPlan plan{.num_tasks = 2, .one_host = true};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  TaskPlan stranger = plan;
  stranger.one_host = false;
  EXPECT_THAT(TaskProcess(stranger).wait_for("failed"),
              AllOf(StartsWith("FailedPrecondition"), HasSubstr("wants the job's secret")));
  TaskProcess task(plan);
  for (TaskProcess* process : {&leader, &task}) {
    process->wait_for("done");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST_F(JoinProcessTest, LeaderThatSharesNoSecretIsWaitedForWithTheReason) {
  TaskPlan plan{.num_tasks = 2};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  plan.self = 1;
  plan.one_host = true;
  plan.startup_ms = 3000;
  EXPECT_THAT(TaskProcess(plan).wait_for("failed"),
              AllOf(StartsWith("DeadlineExceeded"), HasSubstr("shares no secret"),
                    HasSubstr("XDG_RUNTIME_DIR")));
}

TEST_F(JoinProcessTest, JobWithoutASecretIsWarnedOfOrRefused) {
  TaskProcess leader({.num_tasks = 2});
  EXPECT_THAT(leader.wait_for("log"), HasSubstr("without the job's secret and without TLS"));
  TaskProcess strict({.num_tasks = 2, .require_secret = true});
  EXPECT_THAT(strict.wait_for("failed"),
              AllOf(StartsWith("FailedPrecondition"), HasSubstr("COHORT_REQUIRE_SECRET")));
}

TEST_F(JoinProcessTest, PortInUseIsNamed) {
  TaskPlan plan{.num_tasks = 2};
  TaskProcess leader(plan);
  plan.coordinator = leader.wait_for("bound");
  TaskProcess second(plan);
  EXPECT_THAT(second.wait_for("failed"),
              AllOf(StartsWith("AlreadyExists"), HasSubstr("in use"),
                    HasSubstr(plan.coordinator.substr(plan.coordinator.find(':') + 1))));
}

// The task that has the old leader's address waits for an answer that never comes.
TEST_F(JoinProcessTest, ALeaderThatWasStartedAgainIsFoundAtItsNewAddress) {
  TaskPlan plan{.job_id = "again-" + std::to_string(getpid()), .published = true, .one_host = true};
  const auto old = std::make_unique<TaskProcess>(plan);
  EXPECT_THAT(old->wait_for("log"), HasSubstr("task:1 (not heard of)"));
  old->signal(SIGSTOP);
  plan.self = 1;
  TaskProcess task(plan);
  EXPECT_THAT(task.wait_for("log"), HasSubstr("the leader does not answer"));
  old->signal(SIGKILL);
  EXPECT_EQ(old->wait_for_exit(), 128 + SIGKILL);
  while (task.wait_for("log").find("whose address is not in") == std::string::npos)
    if (HasFailure()) return;
  plan.self = 0;
  TaskProcess leader(plan);
  for (TaskProcess* process : {&leader, &task}) {
    process->wait_for("started");
    EXPECT_EQ(process->wait_for_exit(), 0);
  }
}

TEST(JoinTest, OneTaskNeedsNoNetwork) {
  const auto membership = join_cluster({.tasks = {{"worker", 0}}});
  membership->barrier("alone", std::chrono::seconds(1));
  membership->insert("key", "value");
  EXPECT_EQ(membership->get("key", std::chrono::seconds(1)), "value");
  membership->leave(std::chrono::seconds(1));
}

// Else a module that is broken would only skip the tests that need it.
TEST(JoinTest, GrpcLoadsWhereTheBuildHasIt) {
  EXPECT_EQ(why_no_grpc().empty(), cohort::testing::built_with::grpc) << why_no_grpc();
}

TEST(JoinTest, WithoutGrpcTheErrorSaysSo) {
  if (why_no_grpc().empty()) GTEST_SKIP() << "this build has gRPC";
  expect_error(Code::kFailedPrecondition, {"COHORT_GRPC"}, [] {
    join_cluster({.tasks = {{"worker", 0}, {"worker", 1}}, .coordinator = "localhost:0"});
  });
}

TEST(JoinTest, BadOptionsAreRefused) {
  using cohort::testing::expect_invalid;
  const std::vector<Task> two = {{"worker", 0}, {"worker", 1}};
  expect_invalid({"self 2", "2 tasks"}, [&] { join_cluster({.tasks = two, .self = 2}); });
  expect_invalid({"localhost", "port"},
                 [&] { join_cluster({.tasks = two, .coordinator = "localhost"}); });
  expect_invalid({"localhost:0"},
                 [&] { join_cluster({.tasks = two, .self = 1, .coordinator = "localhost:0"}); });
  expect_invalid({"1 addresses"}, [&] {
    join_cluster({.tasks = two, .coordinator = "localhost:0", .addresses = {"a:1"}});
  });
}

}  // namespace
}  // namespace cohort::cluster
