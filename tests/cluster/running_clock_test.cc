#include "cohort/cluster/running_clock.h"

#include <gtest/gtest.h>

namespace cohort::cluster {
namespace {

using namespace std::chrono_literals;

TEST(RunningClockTest, LeavesOutWhatALookComesTooLate) {
  RunningClock clock(2s);
  const auto begin = RunningClock::Clock::now();
  const auto first = clock.at(begin);
  EXPECT_EQ(clock.at(begin + 2s) - first, 2s);
  EXPECT_EQ(clock.at(begin + 5s) - first, 5s) << "a second late is only late";
  EXPECT_EQ(clock.at(begin + 60s) - first, 7s) << "55 s without a look: 53 of them stopped";
  EXPECT_EQ(clock.at(begin + 61s) - first, 8s);
}

}  // namespace
}  // namespace cohort::cluster
