#include "cluster/wait_graph.h"

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

TEST(WaitBoardTest, RanksOfOtherGroupsStandStill) {
  const auto board = std::make_shared<WaitBoard>();
  WaitBoard::Group step(board, "step", {2, 3}), exchange(board, "exchange", {1});
  {
    const auto node = step.post_node(step.node_name(0, 4, 7), step.rank_name(2));
    EXPECT_THAT(board->waits(), SizeIs(1));
    EXPECT_FALSE(board->has_ranks());
  }
  const auto posted = exchange.post_rank(1, exchange.rank_name(0), "all_gather");
  const std::vector<Wait> waits = board->waits();
  ASSERT_THAT(waits, SizeIs(3));
  EXPECT_EQ(waits[0].to, "exchange/rank 0");
  EXPECT_EQ(waits[1].from, "step/rank 2");
  EXPECT_EQ(waits[2].from, "step/rank 3");
  EXPECT_EQ(waits[2].to, "exchange/rank 1");
  EXPECT_EQ(waits[2].id, waits[0].id);
}

}  // namespace
}  // namespace cohort::cluster
