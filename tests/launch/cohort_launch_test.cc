// The program itself, with shells as workers. Every run has a deadline.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/launch/launched.h"

namespace cohort::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(CohortLaunchTest, EveryWorkersLinesHaveItsName) {
  Launched launched = workers(3, "echo out; echo err >&2");
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  for (const char* name : {"worker 0", "worker 1", "worker 2"}) {
    EXPECT_THAT(launched.out, HasSubstr(std::string("[") + name + "] out\n"));
    EXPECT_THAT(launched.err, HasSubstr(std::string("[") + name + "] err\n"));
  }
}

TEST(CohortLaunchTest, WorkersResolveTheSameJob) {
  Launched launched({"-n", "4", COHORT_PRINT_JOB});
  ASSERT_EQ(launched.wait(), 0) << launched.out << launched.err;
  std::set<int> selves;
  std::set<std::string> ids;
  std::istringstream lines(launched.out);
  for (std::string line; std::getline(lines, line);) {
    const auto job = nlohmann::json::parse(line.substr(line.find('{')));
    selves.insert(job["self"].get<int>());
    ids.insert(job["job_id"].get<std::string>());
    EXPECT_EQ(job["tasks"].size(), 4u);
    EXPECT_EQ(line.rfind("[worker " + std::to_string(job["self"].get<int>()) + "] ", 0), 0u);
  }
  EXPECT_EQ(selves, (std::set<int>{0, 1, 2, 3}));
  EXPECT_EQ(ids.size(), 1u);
}

TEST(CohortLaunchTest, FirstFailureIsTheJobs) {
  Launched launched =
      workers(3, worker_1("sleep 0.2; echo the reason >&2; exit 3", "exec sleep 300"));
  EXPECT_EQ(launched.wait(), 3);
  EXPECT_THAT(launched.err,
              HasSubstr("worker 1 failed: exit code 3; its last lines:\n  the reason\n"));
  EXPECT_THAT(launched.err, Not(HasSubstr("worker 0 failed")));
}

TEST(CohortLaunchTest, KilledWorkerEndsTheJob) {
  Launched launched = workers(2, worker_1("kill -KILL $$", "exec sleep 300"));
  EXPECT_EQ(launched.wait(), 128 + SIGKILL);
  EXPECT_THAT(launched.err, HasSubstr("worker 1 failed: signal 9"));
}

TEST(CohortLaunchTest, WorkersThatIgnoreSigtermAreKilled) {
  Launched launched =
      workers(2, worker_1("exit 4", "trap '' TERM; echo pid=$$; while :; do sleep 0.05; done"));
  EXPECT_EQ(launched.wait(), 4);
  expect_gone(pids(launched.out));
}

TEST(CohortLaunchTest, ChildrenOfWorkersEndWithTheJob) {
  Launched launched =
      workers(2, worker_1("sleep 300 & echo pid=$!; exit 5", "sleep 300 & echo pid=$!; wait"));
  EXPECT_EQ(launched.wait(), 5);
  EXPECT_GE(pids(launched.out).size(), 1u);
  expect_gone(pids(launched.out));
}

TEST(CohortLaunchTest, KilledLauncherLeavesNoOrphans) {
  Launched launched = workers(2, "trap '' TERM HUP; sleep 300 & echo pid=$$ pid=$!; wait; wait");
  launched.await("pid=", 4);
  const std::set<int> processes = pids(launched.out);
  EXPECT_EQ(processes.size(), 4u);
  launched.signal(SIGKILL);
  expect_gone(processes);
}

TEST(CohortLaunchTest, SignalsArePassedOn) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Launched launched = workers(
        2, "trap 'echo saved; exit 42' TERM INT; echo pid=$$; while :; do sleep 0.05; done", {},
        [] { ::signal(SIGINT, SIG_DFL); });  // ignored where the tests run in the background
    launched.await("pid=", 2);
    launched.signal(signal);
    EXPECT_EQ(launched.wait(), 42) << launched.err;
    EXPECT_THAT(launched.out, HasSubstr("[worker 0] saved"));
    EXPECT_THAT(launched.out, HasSubstr("[worker 1] saved"));
  }
}

TEST(CohortLaunchTest, SecondSignalKills) {
  Launched launched =
      workers(2, "trap 'echo deaf' TERM; echo pid=$$; while :; do sleep 0.05; done");
  launched.await("pid=", 2);
  launched.signal(SIGTERM);
  launched.await("deaf", 2);
  launched.signal(SIGTERM);
  EXPECT_EQ(launched.wait(), 128 + SIGKILL);
}

TEST(CohortLaunchTest, HugeOutputArrivesWhole) {
  constexpr int kBytes = 10'000'000;
  Launched launched =
      workers(2, "head -c " + std::to_string(kBytes) + " /dev/zero | tr '\\0' x; echo; echo end");
  EXPECT_EQ(launched.wait(), 0);
  EXPECT_EQ(std::count(launched.out.begin(), launched.out.end(), 'x'), 2 * kBytes);
  EXPECT_THAT(launched.out.substr(launched.out.size() - 100), HasSubstr("end\n"));
}

TEST(CohortLaunchTest, ReaderThatGoesAwayDoesNotStopTheJob) {
  Launched launched = workers(1, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
  launched.close_output();
  EXPECT_EQ(launched.wait(), 0);
}

TEST(CohortLaunchTest, JobIsRestartedWithANewId) {
  Launched launched =
      workers(2, "echo id=$COHORT_JOB_ID; test $COHORT_RESTART_COUNT = 2", {"--max-restarts", "2"});
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_THAT(launched.err, HasSubstr("restart 2 of 2"));
  Launched failing = workers(1, "exit 6", {"--max-restarts", "1"});
  EXPECT_EQ(failing.wait(), 6);
}

TEST(CohortLaunchTest, SignalIsNoReasonToRestart) {
  Launched launched = workers(1, "trap 'exit 42' TERM; echo pid=$$; while :; do sleep 0.05; done",
                              {"--max-restarts", "5"});
  launched.await("pid=", 1);
  launched.signal(SIGTERM);
  EXPECT_EQ(launched.wait(), 42);
  EXPECT_THAT(launched.err, Not(HasSubstr("restart")));
}

TEST(CohortLaunchTest, ProgramThatCannotBeStartedIsNamed) {
  Launched launched({"-n", "2", "/no/such/program"});
  EXPECT_EQ(launched.wait(), 127);
  EXPECT_THAT(launched.err, HasSubstr("/no/such/program: No such file"));
}

TEST(CohortLaunchTest, WrongArgumentsAreRefused) {
  EXPECT_EQ(Launched({"-n", "2"}).wait(), 2);
  EXPECT_EQ(Launched({"sh", "-c", "true"}).wait(), 2);
  EXPECT_NE(Launched({"-n", "0", "true"}).wait(), 0);
  EXPECT_EQ(Launched({"--hosts", "-x", "true"}).wait(), 2);
}

const std::string kFakeSsh = std::string(COHORT_TEST_DATA) + "/fake_ssh.sh";

TEST(CohortLaunchOverSshTest, WorkersRunOnTheirHosts) {
  ::setenv("COHORT_TEST_VALUE", "it's", 1);
  Launched launched({"--ssh", kFakeSsh, "--env", "COHORT_TEST_VALUE", "--hosts",
                     "a.invalid:2,b.invalid", "sh", "-c",
                     "echo $FAKE_HOST $COHORT_TEST_VALUE $(pwd) $COHORT_COORDINATOR"});
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_THAT(launched.out, HasSubstr("[worker 1] a.invalid it's /"));
  EXPECT_THAT(launched.out, HasSubstr("[worker 2] b.invalid it's /"));
  EXPECT_THAT(launched.out, HasSubstr(" a.invalid:2"));
}

// Of every process that runs.
std::string all_command_lines() {
  std::string lines;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(process.path() / "cmdline", std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    lines += text.str() + "\n";
  }
  return lines;
}

// Sets a variable for the launchers of a test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST(CohortLaunchOverSshTest, NoCommandLineHasAVariable) {
  const Variable secret("COHORT_JOB_SECRET", "never-in-a-command-line");
  const Variable token("COHORT_TEST_TOKEN", "nor-that-of-the-user");
  Launched launched(
      {"--ssh", kFakeSsh, "--env", "COHORT_TEST_TOKEN", "--hosts", "a.invalid:2,localhost.invalid",
       "sh", "-c",
       "echo pid=$$ $COHORT_TEST_TOKEN; trap 'exit 0' TERM; while :; do sleep 0.05; done"});
  launched.await("nor-that-of-the-user", 3);
  const std::string lines = all_command_lines();
  EXPECT_THAT(lines, HasSubstr(kFakeSsh));
  for (const char* text : {"never-in-a-command-line", "nor-that-of-the-user"})
    EXPECT_THAT(lines, Not(HasSubstr(text)));
  launched.signal(SIGTERM);
  launched.wait();
}

TEST(CohortLaunchOverSshTest, SeveralLinesOfAVariableArrive) {
  const Variable value("COHORT_TEST_LINES", "one\n\\two 'three'\n\n$four\n");
  Launched launched({"--ssh", kFakeSsh, "--env", "COHORT_TEST_LINES", "--hosts", "a.invalid", "sh",
                     "-c", "printf %s \"$COHORT_TEST_LINES\""});
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_EQ(launched.out,
            "[worker 0] one\n[worker 0] \\two 'three'\n[worker 0] \n"
            "[worker 0] $four\n");
}

TEST(CohortLaunchOverSshTest, WorkersHaveOneSecretThatIsNewForEachJob) {
  const auto secrets = [] {
    Launched launched({"--ssh", kFakeSsh, "--hosts", "a.invalid:2,b.invalid", "sh", "-c",
                       "echo secret=$COHORT_JOB_SECRET."});
    EXPECT_EQ(launched.wait(), 0) << launched.err;
    std::set<std::string> found;
    for (size_t at = 0; (at = launched.out.find("secret=", at)) != std::string::npos; at += 7)
      found.insert(launched.out.substr(at + 7, launched.out.find('.', at) - at - 7));
    return found;
  };
  const auto first = secrets(), second = secrets();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first.begin()->size(), 64u);
  EXPECT_NE(first, second);
}

TEST(CohortLaunchTest, WorkersOfThisHostInheritTheSecret) {
  const Variable secret("COHORT_JOB_SECRET", "of-sixteen-bytes-or-more");
  Launched launched = workers(2,
                              "cat /proc/self/fd/${COHORT_JOB_SECRET_FD%@*}; echo; "
                              "echo left:$COHORT_JOB_SECRET.");
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_THAT(launched.out, HasSubstr("[worker 0] of-sixteen-bytes-or-more\n"));
  EXPECT_THAT(launched.out, HasSubstr("[worker 1] of-sixteen-bytes-or-more\n"));
  EXPECT_THAT(launched.out, HasSubstr("left:.\n")) << "the launcher takes the variable away";
}

TEST(CohortLaunchOverSshTest, FailureEndsWorkersElsewhere) {
  Launched launched({"--ssh", kFakeSsh, "--hosts", "a.invalid:2", "sh", "-c",
                     worker_1("sleep 0.3; exit 3", "sleep 300 & echo pid=$$ pid=$!; wait")});
  EXPECT_EQ(launched.wait(), 3) << launched.err;
  EXPECT_EQ(pids(launched.out).size(), 2u);
  expect_gone(pids(launched.out));
}

TEST(CohortLaunchOverSshTest, AWorkersRecordIsTakenOutOfItsOutput) {
  const std::string record =
      R"(printf 'before\033_cohort-failure {"task":"t","own":true,"code":15,"text":"a full disk",)"
      R"("time_ns":1}\033\\after\n' >&2; )";
  Launched launched(
      {"--ssh", kFakeSsh, "--hosts", "a.invalid:2", "sh", "-c",
       worker_1("test $COHORT_FAILURE_PIPE = stderr; " + record + "exit 5", "sleep 0.3; exit 3")});
  EXPECT_EQ(launched.wait(), 5) << launched.err;
  EXPECT_THAT(launched.err, HasSubstr("worker 1 failed: exit code 5; DataLoss: a full disk"));
  EXPECT_THAT(launched.err, HasSubstr("[worker 1] beforeafter\n"));
  EXPECT_THAT(launched.err, Not(HasSubstr("cohort-failure")));
}

TEST(CohortLaunchOverSshTest, KilledLauncherLeavesNoOrphansElsewhere) {
  Launched launched({"--ssh", kFakeSsh, "--hosts", "a.invalid:2", "sh", "-c",
                     "sleep 300 & echo pid=$$ pid=$!; wait"});
  launched.await("pid=", 4);
  const std::set<int> processes = pids(launched.out);
  launched.signal(SIGKILL);
  expect_gone(processes);
}

}  // namespace
}  // namespace cohort::launch
