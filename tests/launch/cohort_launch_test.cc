// The program itself, with shells as workers. Every run has a deadline.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "cluster/process_identity.h"

namespace cohort::launch {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using Clock = std::chrono::steady_clock;

constexpr auto kDeadline = 60s;

// cohort-launch with its two outputs. `prepare` runs in its process before it.
class Launched {
 public:
  explicit Launched(
      std::vector<std::string> arguments, void (*prepare)() = [] {}) {
    arguments.insert(arguments.begin(), COHORT_LAUNCH);
    int out[2], err[2];
    EXPECT_EQ(::pipe2(out, O_CLOEXEC) + ::pipe2(err, O_CLOEXEC), 0);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], 1);
      ::dup2(err[1], 2);
      prepare();
      ::execv(argv[0], argv.data());
      ::_exit(126);
    }
    ::close(out[1]);
    ::close(err[1]);
    ends_ = {out[0], err[0]};
  }
  ~Launched() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }

  void signal(int signal) const { ::kill(pid_, signal); }
  pid_t pid() const { return pid_; }
  void close_output() {
    ::close(ends_[0]);
    ends_[0] = -1;
  }

  // Reads until `count` lines of standard output contain `text`.
  void await(const std::string& text, int count) {
    const auto until = Clock::now() + kDeadline;
    const auto found = [&] {
      int lines = 0;
      for (size_t at = 0; (at = out.find(text, at)) != std::string::npos; ++at) ++lines;
      return lines >= count;
    };
    while (!found() && Clock::now() < until && read()) continue;
    ASSERT_TRUE(found()) << out << err;
  }

  // The exit code, with all output read. 128 + a signal.
  int wait() {
    const auto until = Clock::now() + kDeadline;
    while (Clock::now() < until && read()) continue;
    int status = 0;
    EXPECT_LT(Clock::now(), until) << "it hangs: " << out << err;
    if (Clock::now() >= until) ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string out, err;

 private:
  // False when both have ended.
  bool read() {
    std::array<pollfd, 2> polled = {pollfd{ends_[0], POLLIN, 0}, pollfd{ends_[1], POLLIN, 0}};
    if (ends_[0] < 0 && ends_[1] < 0) return false;
    ::poll(polled.data(), polled.size(), 1000);
    std::array<char, 64 << 10> buffer;
    for (int i = 0; i < 2; ++i) {
      if (ends_[i] < 0 || polled[i].revents == 0) continue;
      const ssize_t size = ::read(ends_[i], buffer.data(), buffer.size());
      if (size > 0) {
        (i == 0 ? out : err).append(buffer.data(), size);
      } else {
        ::close(ends_[i]);
        ends_[i] = -1;
      }
    }
    return true;
  }

  pid_t pid_ = -1;
  std::array<int, 2> ends_{-1, -1};
};

Launched workers(
    int count, const std::string& script, std::vector<std::string> options = {},
    void (*prepare)() = [] {}) {
  options.insert(options.end(), {"-n", std::to_string(count), "sh", "-c", script});
  return Launched(options, prepare);
}

// Shell commands that tell the launcher of a failure.
std::string record(const std::string& own, const std::string& text) {
  return R"(echo '{"task":"/job:worker/task:1","own":)" + own + R"(,"code":15,"text":")" + text +
         R"(","time_ns":1}' > /proc/self/fd/${COHORT_FAILURE_PIPE%%:*}; )";
}

// The letter of a process' state in /proc: T for a stopped one. 0 when it has ended.
char state_of(int pid) {
  std::string text;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/stat"), text);
  const size_t end = text.rfind(") ");
  return end == std::string::npos ? 0 : text[end + 2];
}

void expect_stopped(int pid, bool stopped) {
  const auto until = Clock::now() + kDeadline;
  while ((state_of(pid) == 'T') != stopped && Clock::now() < until)
    std::this_thread::sleep_for(5ms);
  EXPECT_EQ(state_of(pid) == 'T', stopped) << pid << " is " << state_of(pid);
}

// `script` for worker 1, `others` for the rest.
std::string worker_1(const std::string& script, const std::string& others) {
  return "case $TF_CONFIG in *'\"index\":1'*) " + script + ";; *) " + others + ";; esac";
}

// Numbers behind "pid=" in the output.
std::set<int> pids(const std::string& out) {
  std::set<int> found;
  for (size_t at = 0; (at = out.find("pid=", at)) != std::string::npos; at += 4)
    found.insert(std::stoi(out.substr(at + 4)));
  return found;
}

void expect_gone(const std::set<int>& processes) {
  const auto until = Clock::now() + 10s;
  for (const int pid : processes) {
    // They are not our children: nothing but looking tells us of their end.
    while (!cluster::process_start(pid).empty() && Clock::now() < until)
      std::this_thread::sleep_for(5ms);
    EXPECT_EQ(cluster::process_start(pid), "") << "process " << pid << " is still there";
  }
}

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
        2, "trap 'echo saved; exit 42' TERM INT; echo pid=$$; while :; do sleep 0.05; done");
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

TEST(CohortLaunchTest, TheProgramMayStandBehindTwoDashes) {
  Launched launched({"-n", "1", "--", "echo", "-n", "x", "--", "y"});
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_EQ(launched.out, "[worker 0] x -- y\n");
}

TEST(CohortLaunchTest, WhoeverToldOfAnErrorOfItsOwnIsTheCause) {
  Launched launched = workers(2, worker_1(record("true", "a truncated file") + "sleep 0.3; exit 4",
                                          record("false", "worker 1 has gone") + "exit 3"));
  EXPECT_EQ(launched.wait(), 4);
  EXPECT_THAT(launched.err, HasSubstr("worker 1 failed: exit code 4; DataLoss: a truncated file"));
  EXPECT_THAT(launched.err, Not(HasSubstr("worker 0 failed")));
}

TEST(CohortLaunchTest, ACauseThatEndedWellIsNamedAndTheCodeIsOfWhoFailed) {
  Launched launched = workers(2, worker_1(record("true", "it called exit") + "exit 0",
                                          record("false", "worker 1 has gone") + "exit 3"));
  EXPECT_EQ(launched.wait(), 3);
  EXPECT_THAT(launched.err, HasSubstr("worker 1 failed: exit code 0; DataLoss: it called exit"));
}

TEST(CohortLaunchTest, WorkersMayEndByThemselvesAfterAFailure) {
  Launched launched =
      workers(2, worker_1("exit 4", "trap 'echo asked; exit 1' TERM; sleep 0.2; echo told"));
  EXPECT_EQ(launched.wait(), 4);
  EXPECT_THAT(launched.out, HasSubstr("[worker 0] told"));
  EXPECT_THAT(launched.out, Not(HasSubstr("asked")));
}

TEST(CohortLaunchTest, OutputComesWhenALineIsWritten) {
  // sed keeps kilobytes for itself where standard output is a pipe.
  Launched launched = workers(1, "(echo one; exec sleep 300) | sed s/one/line/");
  launched.await("[worker 0] line\n", 1);
  launched.signal(SIGTERM);
  launched.wait();
}

TEST(CohortLaunchTest, TheLastPartOfALineOfACrashedWorkerArrives) {
  Launched launched = workers(1, "printf 'one\ntwo'; kill -SEGV $$");
  EXPECT_EQ(launched.wait(), 128 + SIGSEGV);
  EXPECT_EQ(launched.out, "[worker 0] one\n[worker 0] two\n");
}

TEST(CohortLaunchTest, BytesOfAWorkerComeUnchanged) {
  Launched launched = workers(1, "printf 'a\\tb\\r\\033[0m\\004\\003c\\n'");
  EXPECT_EQ(launched.wait(), 0);
  EXPECT_EQ(launched.out, "[worker 0] a\tb\r\033[0m\004\003c\n");
}

TEST(CohortLaunchTest, TheFirstWorkerReadsStandardInputAndTheOthersNothing) {
  Launched launched = workers(2, "cat; echo end", {}, [] {
    int ends[2];
    if (::pipe(ends) != 0 || ::write(ends[1], "one\ntwo\n", 8) != 8) ::_exit(126);
    ::close(ends[1]);
    ::dup2(ends[0], 0);
  });
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_THAT(launched.out, HasSubstr("[worker 0] one\n[worker 0] two\n[worker 0] end\n"));
  EXPECT_THAT(launched.out, HasSubstr("[worker 1] end\n"));
  EXPECT_THAT(launched.out, Not(HasSubstr("[worker 1] one")));
}

TEST(CohortLaunchTest, ClosedStandardDescriptorsAreNobodyElses) {
  Launched launched = workers(2, "read line; echo out; echo err >&2; exit 3", {}, [] {
    ::close(0);
    ::close(1);
  });
  EXPECT_EQ(launched.wait(), 3) << launched.err;
  EXPECT_THAT(launched.err, HasSubstr("[worker 1] err"));
}

TEST(CohortLaunchTest, WhatWasIgnoredAtTheStartStaysIgnored) {
  Launched launched = workers(2, "echo pid=$$; read line; sleep 0.5; echo done", {}, [] {
    ::signal(SIGHUP, SIG_IGN);  // as nohup does
  });
  launched.await("pid=", 2);
  launched.signal(SIGHUP);
  for (const int pid : pids(launched.out)) ::kill(pid, SIGHUP);
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_THAT(launched.out, HasSubstr("[worker 1] done"));
  EXPECT_THAT(launched.err, Not(HasSubstr("passed")));
}

TEST(CohortLaunchTest, UsersSignalsArePassedOnAndEndNothing) {
  Launched launched = workers(2,
                              "trap 'echo told' USR1; trap 'echo done; exit 0' USR2; "
                              "echo pid=$$; while :; do sleep 0.05; done");
  launched.await("pid=", 2);
  launched.signal(SIGUSR1);
  launched.await("told", 2);
  launched.signal(SIGUSR2);
  EXPECT_EQ(launched.wait(), 0) << launched.err;
}

TEST(CohortLaunchTest, ASuspendedJobGoesOnWhenItIsContinued) {
  Launched launched = workers(2,
                              "echo pid=$$; trap 'echo done; exit 0' USR1; "
                              "while :; do sleep 0.05; done");
  launched.await("pid=", 2);
  launched.signal(SIGTSTP);
  expect_stopped(launched.pid(), true);
  for (const int pid : pids(launched.out)) expect_stopped(pid, true);
  launched.signal(SIGCONT);
  for (const int pid : pids(launched.out)) expect_stopped(pid, false);
  launched.signal(SIGUSR1);
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_THAT(launched.out, HasSubstr("[worker 1] done"));
}

TEST(CohortLaunchTest, TimeInWhichTheLauncherWasStoppedIsNoGrace) {
  Launched launched = workers(1,
                              "trap 'echo asked; kill -STOP $$; echo saved; exit 42' TERM; "
                              "echo pid=$$; while :; do sleep 0.05; done",
                              {"--grace", "5"});
  launched.await("pid=", 1);
  launched.signal(SIGTERM);
  launched.await("asked", 1);
  launched.signal(SIGSTOP);
  expect_stopped(launched.pid(), true);
  // What the test is about is that time passes: longer than the grace.
  for (const auto until = Clock::now() + 6s; Clock::now() < until;)
    std::this_thread::sleep_until(until);
  launched.signal(SIGCONT);
  EXPECT_EQ(launched.wait(), 42) << launched.err;
  EXPECT_THAT(launched.out, HasSubstr("saved"));
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
