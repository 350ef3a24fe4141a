#include "cohort/cluster/last_words.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <thread>

namespace cohort::cluster {
namespace {

using ::testing::ExitedWithCode;
using ::testing::KilledBySignal;

void tell(const Error& why) { std::fprintf(stderr, "told: %s\n", why.what()); }

void throw_on_a_thread() {
  std::thread([] { throw std::runtime_error("of a thread"); }).join();
}

class LastWordsDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(LastWordsDeathTest, AnExceptionThatNobodyCatchesIsTold) {
  EXPECT_EXIT(
      {
        const LastWords words(tell);
        throw_on_a_thread();
      },
      KilledBySignal(SIGABRT), "told: of a thread");
}

TEST_F(LastWordsDeathTest, ExitIsTold) {
  EXPECT_EXIT(
      {
        const LastWords words(tell);
        std::exit(3);
      },
      ExitedWithCode(3), "told: its program ended");
}

TEST_F(LastWordsDeathTest, ExitOnAnotherThreadIsToldAndTheMainThreadWaitsForIt) {
  EXPECT_EXIT(
      {
        std::thread thread;
        {
          const LastWords words([](const Error& why) { tell(why); });
          thread = std::thread([] { std::exit(3); });
        }
        thread.join();
      },
      ExitedWithCode(3), "");
}

TEST_F(LastWordsDeathTest, AfterItsEndNothingIsTold) {
  EXPECT_EXIT(
      {
        { const LastWords words(tell); }
        std::exit(3);
      },
      ExitedWithCode(3), "^$");
}

TEST_F(LastWordsDeathTest, TheHandlerBeforeItGoesOn) {
  EXPECT_EXIT(
      {
        std::set_terminate([] { ::_exit(7); });
        const LastWords words(tell);
        throw_on_a_thread();
      },
      ExitedWithCode(7), "told");
  EXPECT_EXIT(
      {
        std::set_terminate([] { ::_exit(7); });
        { const LastWords words(tell); }
        throw_on_a_thread();
      },
      ExitedWithCode(7), "^$");
}

}  // namespace
}  // namespace cohort::cluster
