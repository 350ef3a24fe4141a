// What cohort-launch is to its workers and to the shell that started it.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "tests/launch/launched.h"

namespace cohort::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// By which one worker learns of another's end, without a clock: a reader sees the end of it when
// its writer has gone. Who opens it first waits for the other.
class NamedPipe {
 public:
  NamedPipe() {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    EXPECT_EQ(::mkfifo(path().c_str(), 0600), 0);
  }
  ~NamedPipe() { std::filesystem::remove_all(folder_); }
  NamedPipe(const NamedPipe&) = delete;
  NamedPipe& operator=(const NamedPipe&) = delete;

  // Shell commands.
  std::string hold() const { return "exec 3> '" + path() + "'; "; }
  std::string await_its_end() const { return "exec 3< '" + path() + "'; read line <&3; "; }

 private:
  std::string path() const { return folder_ + "/pipe"; }

  std::string folder_ = std::filesystem::temp_directory_path() / "cohort-launch-XXXXXX";
};

TEST(UnixParentTest, TheProgramMayStandBehindTwoDashes) {
  Launched launched({"-n", "1", "--", "echo", "-n", "x", "--", "y"});
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_EQ(launched.out, "[worker 0] x -- y\n");
}

TEST(UnixParentTest, WhoeverToldOfAnErrorOfItsOwnIsTheCause) {
  const NamedPipe of_0;
  Launched launched =
      workers(2, worker_1(record("true", "a truncated file") + of_0.await_its_end() + "exit 4",
                          record("false", "worker 1 has gone") + of_0.hold() + "exit 3"));
  EXPECT_EQ(launched.wait(), 4);
  EXPECT_THAT(launched.err, HasSubstr("worker 1 failed: exit code 4; DataLoss: a truncated file"));
  EXPECT_THAT(launched.err, Not(HasSubstr("worker 0 failed")));
}

TEST(UnixParentTest, ACauseThatEndedWellIsNamedAndTheCodeIsOfWhoFailed) {
  Launched launched = workers(2, worker_1(record("true", "it called exit") + "exit 0",
                                          record("false", "worker 1 has gone") + "exit 3"));
  EXPECT_EQ(launched.wait(), 3);
  EXPECT_THAT(launched.err, HasSubstr("worker 1 failed: exit code 0; DataLoss: it called exit"));
}

TEST(UnixParentTest, WorkersMayEndByThemselvesAfterAFailure) {
  const NamedPipe of_1;
  Launched launched =
      workers(2, worker_1(of_1.hold() + "exit 4",
                          "trap 'echo asked; exit 1' TERM; " + of_1.await_its_end() + "echo told"));
  EXPECT_EQ(launched.wait(), 4);
  EXPECT_THAT(launched.out, HasSubstr("[worker 0] told"));
  EXPECT_THAT(launched.out, Not(HasSubstr("asked")));
}

TEST(UnixParentTest, OutputComesWhenALineIsWritten) {
  // sed keeps kilobytes for itself where standard output is a pipe.
  Launched launched = workers(1, "(echo one; exec sleep 300) | sed s/one/line/");
  launched.await("[worker 0] line\n", 1);
  launched.signal(SIGTERM);
  launched.wait();
}

TEST(UnixParentTest, TheLastPartOfALineOfACrashedWorkerArrives) {
  Launched launched = workers(1, "printf 'one\ntwo'; kill -SEGV $$");
  EXPECT_EQ(launched.wait(), 128 + SIGSEGV);
  EXPECT_EQ(launched.out, "[worker 0] one\n[worker 0] two\n");
}

TEST(UnixParentTest, BytesOfAWorkerComeUnchanged) {
  Launched launched = workers(1, "printf 'a\\tb\\r\\033[0m\\004\\003c\\n'");
  EXPECT_EQ(launched.wait(), 0);
  EXPECT_EQ(launched.out, "[worker 0] a\tb\r\033[0m\004\003c\n");
}

TEST(UnixParentTest, TheFirstWorkerReadsStandardInputAndTheOthersNothing) {
  Launched launched = workers(2, "cat; echo end", {}, [] {
    int ends[2];
    if (::pipe(ends) != 0 || ::write(ends[1], "one\ntwo\n", 8) != 8) ::_exit(126);
    ::close(ends[1]);
    ::dup2(ends[0], 0);
  });
  EXPECT_EQ(launched.wait(), 0) << launched.err;
  EXPECT_EQ(lines_of(launched.out, 0), "one\ntwo\nend\n");
  EXPECT_EQ(lines_of(launched.out, 1), "end\n");
}

TEST(UnixParentTest, ClosedStandardDescriptorsAreNobodyElses) {
  Launched launched = workers(2, "read line; echo out; echo err >&2; exit 3", {}, [] {
    ::close(0);
    ::close(1);
  });
  EXPECT_EQ(launched.wait(), 3) << launched.err;
  EXPECT_THAT(launched.err, HasSubstr("[worker 1] err"));
}

TEST(UnixParentTest, WhatWasIgnoredAtTheStartStaysIgnored) {
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

TEST(UnixParentTest, UsersSignalsArePassedOnAndEndNothing) {
  Launched launched = workers(2,
                              "trap 'echo told' USR1; trap 'echo done; exit 0' USR2; "
                              "echo pid=$$; while :; do sleep 0.05; done");
  launched.await("pid=", 2);
  launched.signal(SIGUSR1);
  launched.await("told", 2);
  launched.signal(SIGUSR2);
  EXPECT_EQ(launched.wait(), 0) << launched.err;
}

TEST(UnixParentTest, ASuspendedJobGoesOnWhenItIsContinued) {
  // No commands in a loop: a shell whose child stops before its exec is in state D, not T.
  Launched launched = workers(2,
                              "sleep 600 & trap 'kill $!; echo done; exit 0' USR1; "
                              "echo pid=$$; wait");
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

TEST(UnixParentTest, TimeInWhichTheLauncherWasStoppedIsNoGrace) {
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

}  // namespace
}  // namespace cohort::launch
