#include "cohort/distribute/transport/flight_recorder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/distribute/group_harness.h"

namespace cohort::distribute {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kNames = {"rank 0 (chief)", "rank 1 (worker 1)",
                                         "rank 2 (worker 2)"};

RankHistory::Call call(uint64_t number, int64_t ended_ms_ago) {
  return {.number = number,
          .collective = 3,
          .call = static_cast<uint32_t>(number / 3),
          .what = "all_reduce (sum) of 1000 float32",
          .started_ms_ago = 5000,
          .ended_ms_ago = ended_ms_ago};
}

TEST(FlightRecorderTest, NamesWhoNeverCalledWhatOthersHave) {
  const std::vector<RankHistory> histories = {
      {0, {call(1840, 4000), call(1841, -1)}}, {1, {call(1841, -1)}}, {2, {call(1840, 4000)}}};
  EXPECT_EQ(
      explain_histories(histories, kNames),
      "rank 2 (worker 2) never called all_reduce (sum) of 1000 float32 (number 1841: collective "
      "3, call 613); its last was all_reduce (sum) of 1000 float32 (number 1840: collective 3, "
      "call 613), which ended 4.0 s ago");
}

TEST(FlightRecorderTest, NamesWhoIsStillInside) {
  const std::vector<RankHistory> histories = {{0, {call(7, 10)}}, {1, {call(7, -1)}}};
  EXPECT_THAT(explain_histories(histories, kNames), HasSubstr("rank 1 (worker 1): it is still in"));
}

TEST(FlightRecorderTest, HistoriesSurviveTheirTextAndGarbageIsLeftOut) {
  const std::vector<RankHistory> histories = {{0, {call(1, 3), call(2, -1)}}, {2, {}}};
  const std::string text = dump_histories(histories);
  EXPECT_EQ(dump_histories(parse_histories(text)), text);
  EXPECT_EQ(dump_histories(parse_histories("call 1\nrank x\n" + text + "call 9 9\n\xff")), text);
}

class FlightRecorderConcurrentTest : public ::testing::TestWithParam<NamedTopology> {};

INSTANTIATE_TEST_SUITE_P(Of, FlightRecorderConcurrentTest, ::testing::ValuesIn(kTopologies),
                         topology_name);

TEST_P(FlightRecorderConcurrentTest, KeepsTheLatestCallsOfEveryRank) {
  expect_no_errors(run_ranks(GetParam().make(2), [](Communicator& rank) {
    std::vector<float> values(1000);
    void* data = values.data();
    const auto request = rank.prepare({.count = 1000, .buffer = &data});
    for (int i = 0; i < 50; ++i) {
      request->start();
      request->wait();
    }
    const auto histories = parse_histories(rank.history());
    for (const RankHistory& history : histories) {
      if (history.rank != rank.rank()) continue;
      if (history.calls.size() != kFlightRecords || history.calls.back().number != 50 ||
          history.calls.back().ended_ms_ago < 0 ||
          history.calls.back().what != "all_reduce (sum) of 1000 float32")
        throw Internal("got {}", rank.history());
    }
  }));
}

TEST_P(FlightRecorderConcurrentTest, ATimeOutSaysWhoNeverCalledWhat) {
  ProcessGroupOptions group = GetParam().make(3);
  group.timeout = std::chrono::milliseconds(1500);
  std::atomic<int> ended{0};
  ::testing::internal::CaptureStderr();
  const auto errors = run_ranks(group, [&](Communicator& rank) {
    std::vector<float> values(1000);
    void* data = values.data();
    const auto request = rank.prepare({.count = 1000, .buffer = &data});
    request->start();
    request->wait();
    if (rank.rank() == 2) {
      while (ended < 2) std::this_thread::yield();
      return;
    }
    struct Count {
      std::atomic<int>& ended;
      ~Count() { ++ended; }
    } const count{ended};
    request->start();
    request->wait();
  });
  const std::string said = ::testing::internal::GetCapturedStderr();
  ASSERT_TRUE(errors[0]);
  EXPECT_THAT(
      said + errors[0]->what(),
      HasSubstr("rank 2 (process 2) never called all_reduce (sum) of 1000 float32 (number 2: "
                "collective 0, call 2); its last was all_reduce (sum) of 1000 float32 (number "
                "1: collective 0, call 1)"));
}

}  // namespace
}  // namespace cohort::distribute
