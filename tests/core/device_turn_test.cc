#include "cohort/core/device/device_turn.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "cohort/core/error.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/one_thread.h"

namespace cohort {
namespace {

using std::chrono::milliseconds;

class DeviceTurnTest : public ::testing::Test {
 protected:
  const std::unique_ptr<Device> a_ = make_cpu_device(0, 1), b_ = make_cpu_device(1, 1);
  const std::vector<Device*> only_a_{a_.get()}, only_b_{b_.get()};
  const std::vector<Device*> both_ = in_turn_order({b_.get(), a_.get()});
};

/// The Error that `body` throws in a thread of its own.
template <class Body>
std::string error_elsewhere(Body&& body, Code code) {
  std::string text = "no error";
  std::thread([&] {
    try {
      body();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      text = error.what();
    }
  }).join();
  return text;
}

TEST_F(DeviceTurnTest, OneThreadAtATimeHasIt) {
  constexpr int kThreads = 4, kTimes = 2000;
  int count = 0, inside = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTimes; ++i) {
        const DeviceTurn turn(t % 2 ? only_a_ : both_);
        ASSERT_EQ(++inside, 1);
        ++count;
        --inside;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kTimes);
}

TEST_F(DeviceTurnTest, AThreadMayTakeAgainWhatItHas) {
  const DeviceTurn outer(both_);
  { const DeviceTurn inner(only_a_); }
  const auto take = [this] { a_->turn().acquire(*a_, nullptr, milliseconds(1)); };
  EXPECT_NE(error_elsewhere(take, Code::kDeadlineExceeded), "no error") << "it still has it";
}

TEST_F(DeviceTurnTest, AWaitHasADeadlineAndNamesDeviceAndThread) {
  {
    const DeviceTurn turn(only_a_);
    const std::string error = error_elsewhere(
        [this] { a_->turn().acquire(*a_, nullptr, milliseconds(20)); }, Code::kDeadlineExceeded);
    EXPECT_NE(error.find("CPU:0"), std::string::npos) << error;
    EXPECT_NE(error.find("thread " + std::to_string(this_thread_id())), std::string::npos) << error;
  }
  std::thread([this] { const DeviceTurn turn(only_a_); }).join();
  const DeviceTurn turn(only_a_);  // who gave up left nothing behind
}

TEST_F(DeviceTurnTest, AWaitingThreadGetsItBeforeTheOneThatHadIt) {
  std::atomic<bool> waits{false}, had_it{false};
  std::optional<DeviceTurn> turn(only_a_);
  std::thread other([&] {
    waits = true;
    const DeviceTurn mine(only_a_);
    had_it = true;
  });
  while (!waits) std::this_thread::yield();
  // It may not stand in line yet; once it does, this thread comes after it.
  while (!had_it) {
    turn.reset();
    turn.emplace(only_a_);
  }
  turn.reset();
  other.join();
}

TEST_F(DeviceTurnTest, ADeviceServesOneJobAtATime) {
  const int mine = 0, other = 0;
  const DeviceTurn turn(only_a_, &mine);
  const std::string error =
      error_elsewhere([&] { const DeviceTurn second(both_, &other); }, Code::kFailedPrecondition);
  EXPECT_NE(error.find("another job"), std::string::npos) << error;
  std::thread([&] { const DeviceTurn beside(only_b_, &other); }).join();
}

TEST_F(DeviceTurnTest, TellsWhetherSomebodyElseHasUsedTheDevices) {
  const int one = 0, two = 0;
  const DeviceTurn turn(both_);
  turn.note_user(&one);
  EXPECT_TRUE(turn.follows(&one));
  { DeviceTurn(only_a_).note_user(&two); }
  EXPECT_FALSE(turn.follows(&one));
  EXPECT_FALSE(turn.follows(&two));
}

TEST(OneThreadTest, RefusesASecondThreadAndNamesBoth) {
  OneThread rule;
  {
    const auto outer = rule.enter("model", "fit()");
    const auto inner = rule.enter("model", "evaluate()");
    pid_t second = 0;
    const std::string error = error_elsewhere(
        [&] {
          second = this_thread_id();
          (void)rule.enter("model", "compile()");
        },
        Code::kFailedPrecondition);
    EXPECT_EQ(error, "model: got compile() in thread " + std::to_string(second) + " while thread " +
                         std::to_string(this_thread_id()) +
                         " is in fit(); want one thread at a time");
  }
  std::thread([&] { (void)rule.enter("model", "fit()"); }).join();
}

}  // namespace
}  // namespace cohort
