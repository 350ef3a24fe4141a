#include "cohort/cluster/wait_graph.h"

#include <gmock/gmock.h>

namespace cohort::cluster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Task worker(int index) { return {"worker", index}; }

class WaitGraphTest : public ::testing::Test {
 protected:
  void report(int task, std::vector<Wait> waits) { graph_.report(worker(task), std::move(waits)); }
  // The second look counts what was reported in between.
  std::string circle_after(const std::function<void()>& reports) {
    reports();
    EXPECT_EQ(graph_.find_circle(), std::nullopt);
    EXPECT_EQ(graph_.find_circle(), std::nullopt) << "found in old reports";
    reports();
    return graph_.find_circle().value_or("");
  }

  WaitGraph graph_;
};

TEST_F(WaitGraphTest, TwoThatWaitForEachOther) {
  EXPECT_THAT(circle_after([&] {
                report(0, {{1, "a", "b", "all_reduce"}});
                report(1, {{1, "b", "a", "all_gather"}});
              }),
              AllOf(HasSubstr("/job:worker/task:0 in all_reduce"),
                    HasSubstr("/job:worker/task:1 in all_gather")));
}

TEST_F(WaitGraphTest, AChainHasAnEnd) {
  EXPECT_EQ(circle_after([&] {
              report(0, {{1, "a", "b", "x"}, {2, "a", "c", "x"}});
              report(1, {{1, "b", "c", "x"}});
              report(2, {{1, "c", "d", "x"}});
            }),
            "");
}

TEST_F(WaitGraphTest, OneWaysCrossWithoutACircle) {
  EXPECT_EQ(circle_after([&] {
              report(0, {{1, "a", "b", "x"}, {2, "a", "c", "x"}});
              report(1, {{1, "b", "d", "x"}, {2, "c", "d", "x"}, {3, "d", "e", "x"}});
            }),
            "");
}

TEST_F(WaitGraphTest, ALongWayRound) {
  constexpr int kTasks = 300;
  EXPECT_THAT(
      circle_after([&] {
        report(kTasks, {{1, "outside", "0", "leads in"}});
        for (int t = 0; t < kTasks; ++t)
          report(t, {{1, std::to_string(t), std::to_string((t + 1) % kTasks), "x"}});
      }),
      AllOf(HasSubstr("task:0 in x"), HasSubstr("task:299 in x"), Not(HasSubstr("leads in"))));
}

TEST_F(WaitGraphTest, AWaitThatEndedMeanwhileIsNoCircle) {
  report(0, {{1, "a", "b", "first"}});
  report(1, {{1, "b", "a", "first"}});
  EXPECT_EQ(graph_.find_circle(), std::nullopt);
  report(0, {{2, "a", "b", "the next call"}});
  report(1, {{1, "b", "a", "first"}});
  EXPECT_EQ(graph_.find_circle(), std::nullopt);
  report(0, {{2, "a", "b", "the next call"}});
  EXPECT_EQ(graph_.find_circle(), std::nullopt) << "task 1 has said nothing since";
  report(1, {{1, "b", "a", "first"}});
  EXPECT_THAT(graph_.find_circle().value_or(""), HasSubstr("the next call"));
}

TEST_F(WaitGraphTest, WhatStandsStillIsPartOfACircleButNotNamed) {
  EXPECT_EQ(circle_after([&] {
              report(0, {{1, "step/rank 0", "step/rank 1", "all_reduce"}});
              report(1, {{1, "exchange/rank 1", "exchange/rank 0", "all_gather"},
                         {1, "step/rank 1", "exchange/rank 1", ""}});
              report(2, {{1, "exchange/rank 0", "step/rank 0", ""}});
            }).find("task:2"),
            std::string::npos);
}

TEST_F(WaitGraphTest, ACircleIsFoundBesideOneThatKeepsMoving) {
  uint64_t call = 10;
  EXPECT_THAT(circle_after([&] {
                ++call;  // 2 and 3 wait for each other, but for another call each time
                report(0, {{1, "a", "b", "x"}});
                report(1, {{1, "b", "a", "y"}});
                report(2, {{call, "c", "d", "moving"}});
                report(3, {{call, "d", "c", "moving"}});
              }),
              AllOf(HasSubstr("task:0 in x"), HasSubstr("task:1 in y"), Not(HasSubstr("moving"))));
}

TEST_F(WaitGraphTest, ACircleIsFoundInsideALargerOneThatOpens) {
  uint64_t call = 10;
  EXPECT_THAT(circle_after([&] {
                ++call;
                report(0, {{1, "a", "b", "x"}, {2, "a", "c", "x"}});
                report(1, {{1, "b", "a", "y"}});
                report(2, {{call, "c", "a", "moving"}});
              }),
              AllOf(HasSubstr("task:0 in x"), HasSubstr("task:1 in y"), Not(HasSubstr("moving"))));
}

TEST_F(WaitGraphTest, ATaskThatReportsSeldomHoldsUpNoOtherCircle) {
  report(2, {{1, "c", "d", "z"}});
  report(3, {{1, "d", "c", "z"}});
  EXPECT_THAT(circle_after([&] {
                report(0, {{1, "a", "b", "x"}});
                report(1, {{1, "b", "a", "y"}});
              }),
              AllOf(HasSubstr("task:0 in x"), HasSubstr("task:1 in y"), Not(HasSubstr("in z"))));
}

TEST_F(WaitGraphTest, ACallWaitsForEveryRankThatHasNotEnteredIt) {
  // Rank 0 is in call 7; rank 1 in call 5, which waits for rank 0; rank 2 computes.
  EXPECT_THAT(circle_after([&] {
                report(0, {{1, "rank 0", "call 7", "all_reduce"}, {2, "call 5", "rank 0", ""}});
                report(1, {{1, "call 7", "rank 1", ""}, {2, "rank 1", "call 5", "all_gather"}});
                report(2, {{1, "call 7", "rank 2", ""}, {2, "call 5", "rank 2", ""}});
              }),
              "/job:worker/task:0 in all_reduce; /job:worker/task:1 in all_gather");
}

TEST_F(WaitGraphTest, ACallThatAllHaveEnteredIsNoCircle) {
  EXPECT_EQ(circle_after([&] {
              report(0, {{1, "rank 0", "call 7", "all_reduce"}, {2, "call 5", "rank 0", ""}});
              report(1, {{1, "rank 1", "call 7", "all_reduce"}, {2, "call 5", "rank 1", ""}});
            }),
            "");
}

TEST_F(WaitGraphTest, ATaskIsSearchedAsFarAsTheLimit) {
  // All of 64 tasks stand still, each before as many calls as may be told.
  constexpr int kTasks = 64;
  const auto waits_of = [](int task, size_t calls) {
    const std::string rank = std::to_string(task);
    std::vector<Wait> waits{{1, rank, "call 0 of " + std::to_string((task + 1) % kTasks), "x"}};
    for (size_t call = 0; call < calls; ++call)
      waits.push_back({2 + call, "call " + std::to_string(call) + " of " + rank, rank, ""});
    return waits;
  };
  EXPECT_THAT(circle_after([&] {
                for (int task = 0; task < kTasks; ++task)
                  report(task, waits_of(task, WaitGraph::kMostWaits - 1));
              }),
              AllOf(HasSubstr("task:0 in x"), HasSubstr("task:63 in x")));
  EXPECT_TRUE(graph_.report(worker(0), waits_of(0, WaitGraph::kMostWaits - 1)));
  EXPECT_FALSE(graph_.report(worker(0), waits_of(0, WaitGraph::kMostWaits))) << "said by nobody";
  EXPECT_TRUE(graph_.report(worker(0), waits_of(0, WaitGraph::kMostWaits))) << "said twice";
  EXPECT_FALSE(graph_.report(worker(1), waits_of(1, WaitGraph::kMostWaits)));
}

bool lasts() { return true; }

TEST(WaitBoardTest, RanksOfOtherGroupsStandStill) {
  const auto board = std::make_shared<WaitBoard>();
  WaitBoard::Group step(board, "step", {2, 3}), exchange(board, "exchange", {1});
  {
    const auto call = step.post_call(step.call_name(4, 7), step.rank_name(2), lasts);
    EXPECT_THAT(board->waits(), SizeIs(1));
    EXPECT_FALSE(board->has_ranks());
  }
  const auto posted = exchange.post_rank(1, exchange.rank_name(0), "all_gather", lasts);
  const std::vector<Wait> waits = board->waits();
  ASSERT_THAT(waits, SizeIs(3));
  EXPECT_EQ(waits[0].to, "exchange/rank 0");
  EXPECT_EQ(waits[1].from, "step/rank 2");
  EXPECT_EQ(waits[2].from, "step/rank 3");
  EXPECT_EQ(waits[2].to, "exchange/rank 1");
  EXPECT_EQ(waits[2].id, waits[0].id);
}

TEST(WaitBoardTest, AWaitThatHasEndedIsNotToldEvenWhileItIsPosted) {
  const auto board = std::make_shared<WaitBoard>();
  WaitBoard::Group step(board, "step", {0}), exchange(board, "exchange", {0});
  bool waits = true;
  const auto rank = step.post_rank(0, step.call_name(1, 1), "all_reduce", [&] { return waits; });
  const auto call = step.post_call(step.call_name(2, 1), step.rank_name(0), [&] { return waits; });
  EXPECT_THAT(board->waits(), SizeIs(3));
  waits = false;
  EXPECT_THAT(board->waits(), SizeIs(0));
}

TEST(WaitBoardTest, RanksAreToldBeforeCallsWhereNotAllAre) {
  const auto board = std::make_shared<WaitBoard>();
  WaitBoard::Group step(board, "step", {0});
  std::vector<std::shared_ptr<void>> posted;
  for (uint32_t call = 1; call <= 5; ++call)
    posted.push_back(step.post_call(step.call_name(0, call), step.rank_name(0), lasts));
  posted.push_back(step.post_rank(0, step.call_name(9, 1), "all_reduce", lasts));
  const std::vector<Wait> waits = board->waits(3);
  ASSERT_THAT(waits, SizeIs(3));
  EXPECT_EQ(waits[0].what, "all_reduce");
  EXPECT_EQ(waits[1].from, "step/#0 call 1");
  EXPECT_EQ(waits[2].from, "step/#0 call 2");
}

}  // namespace
}  // namespace cohort::cluster
