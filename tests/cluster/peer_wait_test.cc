#include "cohort/cluster/peer_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "tests/support/expect_error.h"

namespace cohort::cluster {
namespace {

using cohort::testing::expect_error;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr milliseconds kPatience = std::chrono::minutes(5);

class PeerWaitTest : public ::testing::Test {
 protected:
  PeerWaitOptions options(milliseconds timeout = kPatience) {
    return {.store = &store_, .where = "group: task 0", .timeout = timeout};
  }
  static std::string awaited() { return "task 1 (connection refused)"; }

  LocalKeyValueStore store_;
};

TEST_F(PeerWaitTest, AJobsFailureEndsItBeforeAndWhileItSleeps) {
  for (const bool before : {true, false}) {
    LocalKeyValueStore store;
    PeerWait wait({.store = &store, .where = "group", .timeout = kPatience});
    if (before) store.fail(Unavailable("task 2 is gone"));
    std::thread failure([&] { store.fail(Unavailable("task 2 is gone")); });
    expect_error(Code::kUnavailable, {"task 2 is gone"}, [&] {
      while (true) wait.poll({}, awaited);
    });
    expect_error(Code::kUnavailable, {"task 2 is gone"}, [&] { wait.get("key", awaited); });
    failure.join();
  }
}

TEST_F(PeerWaitTest, TheDeadlineNamesTheAwaited) {
  PeerWait wait(options(milliseconds(20)));
  expect_error(Code::kDeadlineExceeded, {"group: task 0", "20 ms", awaited()}, [&] {
    while (true) wait.poll({}, awaited);
  });
  expect_error(Code::kDeadlineExceeded, {"group: task 0", "20 ms", awaited()},
               [&] { PeerWait(options(milliseconds(20))).get("key", awaited); });
}

TEST_F(PeerWaitTest, ALongWaitSaysWhomItIsFor) {
  std::vector<std::string> lines;
  PeerWaitOptions options = this->options();
  options.report_after = options.report_every = milliseconds(1);
  options.log = [&](const std::string& line) { lines.push_back(line); };
  PeerWait wait(options);
  while (lines.size() < 3) wait.poll({}, awaited);
  EXPECT_THAT(lines[2], AllOf(HasSubstr("group: task 0 waits"), HasSubstr("of 300 s"),
                              HasSubstr("for " + awaited())));
}

TEST_F(PeerWaitTest, WhatIsReadyWakesIt) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::vector<pollfd> events{{-1, POLLIN, 0}, {ends[0], POLLIN, 0}};
  PeerWait wait(options());
  std::thread writer([&] { EXPECT_EQ(write(ends[1], "x", 1), 1); });
  while (events[1].revents == 0) wait.poll(events, awaited);
  EXPECT_EQ(events[0].revents, 0);
  EXPECT_EQ(events[1].revents, POLLIN);
  writer.join();
  close(ends[0]);
  close(ends[1]);
}

TEST_F(PeerWaitTest, AValueOfTheStoreIsWaitedFor) {
  PeerWait wait(options());
  std::thread writer([&] { store_.insert("key", "value"); });
  EXPECT_EQ(wait.get("key", awaited), "value");
  writer.join();
}

TEST_F(PeerWaitTest, WhatTheJobFailsWithExplainsAPeersEnd) {
  PeerWait wait(options());
  std::thread failure([&] { store_.fail(ResourceExhausted("task 1: Too many open files")); });
  expect_error(Code::kResourceExhausted, {"task 1: Too many open files"},
               [&] { wait.give_up(Unavailable("task 1 has gone")); });
  failure.join();
  LocalKeyValueStore other;
  PeerWait alone({.store = &other, .where = "group", .timeout = kPatience});
  expect_error(Code::kUnavailable, {"task 1 has gone"},
               [&] { alone.give_up(Unavailable("task 1 has gone")); });
}

}  // namespace
}  // namespace cohort::cluster
