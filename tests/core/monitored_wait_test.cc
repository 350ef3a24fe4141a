#include "cohort/core/runtime/monitored_wait.h"

#include <gtest/gtest.h>

#include <atomic>

#include "cohort/core/error.h"
#include "tests/support/expect_error.h"

namespace cohort {
namespace {

using std::chrono::milliseconds;

TEST(MonitoredWaitTest, AMonitorEndsAWaitThatDoesNotEnd) {
  MonitoredWait wait;
  const auto monitor = wait.add([](milliseconds waited) {
    if (waited > milliseconds(100)) throw DeadlineExceeded("rank 1 is silent");
  });
  testing::expect_error(Code::kDeadlineExceeded, {"rank 1 is silent"},
                        [&] { wait.until([] { return false; }); });
}

TEST(MonitoredWaitTest, MonitorsAreCalledWhileTheyHaveOwners) {
  MonitoredWait wait;
  EXPECT_FALSE(wait.has_monitors());
  std::atomic<int> first = 0, second = 0;
  auto a = wait.add([&](milliseconds) { ++first; });
  const auto b = wait.add([&](milliseconds) { ++second; });
  EXPECT_TRUE(wait.has_monitors());
  wait.until([&] { return first > 1; });
  a.reset();
  const int seen = first;
  second = 0;
  wait.until([&] { return second > 1; });
  EXPECT_EQ(first, seen);
}

TEST(MonitoredWaitTest, WhatIsDoneIsNotWaitedFor) {
  MonitoredWait wait;
  const auto monitor = wait.add([](milliseconds) { throw Internal("called"); });
  wait.until([] { return true; });
}

}  // namespace
}  // namespace cohort
