#include "tests/cluster/coordinator_support.h"

namespace cohort::cluster {
namespace {

TEST_F(CoordinatorTest, BarrierReleasesNobodyBeforeTheLast) {
  all_come();
  Outcome outcomes[3];
  barrier(0, outcomes[0]);
  barrier(1, outcomes[1]);
  EXPECT_FALSE(outcomes[0].done || outcomes[1].done);
  barrier(2, outcomes[2]);
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.ok());
}

TEST_F(CoordinatorTest, BarrierOfASubset) {
  all_come();
  Outcome outcomes[2];
  barrier(0, outcomes[0], {0, 1});
  barrier(1, outcomes[1], {1, 0});
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.ok());
}

TEST_F(CoordinatorTest, DifferentParticipantsFailBothAndTheNextRoundIsClean) {
  all_come();
  Outcome zero, two, one, again[2];
  barrier(0, zero, {0, 1});
  barrier(2, two, {1, 2});
  EXPECT_EQ(zero.code(), Code::kInvalidArgument);
  EXPECT_EQ(two.code(), Code::kInvalidArgument);
  barrier(1, one, {0, 1});  // its share of the round that failed
  EXPECT_EQ(one.code(), Code::kInvalidArgument);
  barrier(0, again[0], {0, 1});
  barrier(1, again[1], {0, 1});
  EXPECT_TRUE(again[0].ok() && again[1].ok());
}

TEST_F(CoordinatorTest, StrangerFailsABarrierUnderWayButNotOneThatHasPassed) {
  all_come();
  Outcome zero, one, stranger, late;
  barrier(0, zero, {0, 1});
  barrier(2, stranger, {0, 1});
  EXPECT_EQ(zero.code(), Code::kInvalidArgument);
  EXPECT_EQ(stranger.code(), Code::kInvalidArgument);
  barrier(1, one, {0, 1});
  EXPECT_EQ(one.code(), Code::kInvalidArgument);

  Outcome again[2];
  barrier(0, again[0], {0, 1});
  barrier(1, again[1], {0, 1});
  EXPECT_TRUE(again[0].ok() && again[1].ok());
  barrier(2, late, {0, 1});
  EXPECT_EQ(late.code(), Code::kInvalidArgument);
}

TEST_F(CoordinatorTest, BarrierOfAnUnknownTaskIsInvalid) {
  all_come();
  Outcome outcome;
  expect_error(Code::kInvalidArgument, {"worker/task:67"}, [&] { barrier(0, outcome, {0, 67}); });
}

TEST_F(CoordinatorTest, BarrierNamesWhoDidNotCome) {
  all_come();
  Outcome zero, one, two;
  barrier(0, zero);
  pass(milliseconds(500), {0, 1, 2});
  barrier(2, two);
  pass(milliseconds(1600), {0, 1, 2});
  for (const Outcome* outcome : {&zero, &two}) {
    EXPECT_EQ(outcome->code(), Code::kDeadlineExceeded);
    EXPECT_THAT(outcome->error->what(),
                HasSubstr("barrier b: 2 of 3 tasks came in 2000 ms; missing: /job:worker/task:1"));
  }
  barrier(1, one);  // too late: this round has failed for all
  EXPECT_EQ(one.code(), Code::kDeadlineExceeded);
  EXPECT_FALSE(coordinator_->error());
}

TEST_F(CoordinatorTest, LateTasksAreNamedOnceBeforeTheDeadline) {
  all_come();
  Outcome zero, two;
  barrier(0, zero, {}, "slow", milliseconds(60'000));
  pass(milliseconds(5000), {0, 1, 2});
  barrier(2, two, {}, "slow", milliseconds(60'000));
  pass(milliseconds(4900), {0, 1, 2});
  EXPECT_THAT(warnings_, IsEmpty());
  pass(milliseconds(10'000), {0, 1, 2});
  EXPECT_THAT(warnings_, ElementsAre("barrier slow: 2 of 3 tasks have waited for 10 s; late: "
                                     "/job:worker/task:1"));
  EXPECT_FALSE(zero.done || two.done);
}

TEST_F(CoordinatorTest, NthUseMeetsTheNthUse) {
  all_come();
  Outcome zero[2], one[2];
  barrier(0, zero[0], {0, 1});
  barrier(0, zero[1], {0, 1});  // another thread of task 0, a round ahead
  barrier(1, one[0], {0, 1});
  EXPECT_TRUE(zero[0].ok() && one[0].ok());
  EXPECT_FALSE(zero[1].done);
  barrier(1, one[1], {0, 1});
  EXPECT_TRUE(zero[1].ok() && one[1].ok());
}

TEST_F(CoordinatorTest, NobodyWaitsForATaskThatHasLeft) {
  all_come();
  Outcome zero, one, leaving;
  barrier(0, zero);
  coordinator_->leave(worker(2), kEndless, into(leaving));
  EXPECT_EQ(zero.code(), Code::kFailedPrecondition);
  EXPECT_THAT(zero.error->what(), HasSubstr("worker/task:2 has left"));
  expect_error(Code::kFailedPrecondition, {"worker/task:2 has left"}, [&] { barrier(1, one); });
}

}  // namespace
}  // namespace cohort::cluster
