#include "tests/cluster/coordinator_support.h"

namespace cohort::cluster {
namespace {

using ::testing::AllOf;
using ::testing::SizeIs;

// --- registration --------------------------------------------------------------------------------

TEST_F(CoordinatorTest, StartsWhenTheLastTaskComes) {
  come(0);
  come(2);
  EXPECT_FALSE(coordinator_->started());
  EXPECT_THAT(started_, ElementsAre(false, false, false));
  come(1);
  EXPECT_TRUE(coordinator_->started());
  EXPECT_THAT(started_, ElementsAre(true, true, true));
}

TEST_F(CoordinatorTest, SaysWhoIsMissingAndWhy) {
  come(0);
  expect_error(Code::kInvalidArgument, {"worker/task:1", "host x", "'other'"}, [&] {
    coordinator_->register_task(
        {.task = worker(1), .job_id = "other", .version = "1", .place = "host x"}, {});
  });
  coordinator_->note(worker(1), "never shown: what was seen goes before");
  coordinator_->note(worker(2), "w2: the name does not resolve");
  EXPECT_THAT(coordinator_->missing_text(),
              HasSubstr("2 of 3 tasks are missing: /job:worker/task:1 (cluster: /job:worker/task:1 "
                        "(host x) is of job 'other', and this is another one), /job:worker/task:2 "
                        "(w2: the name does not resolve)"));
  coordinator_->refused(worker(1), "10.0.0.7:1");
  coordinator_->refused({"nobody", 4}, "10.0.0.7:2");
  EXPECT_THAT(coordinator_->missing_text(),
              HasSubstr("/job:worker/task:1 (10.0.0.7:1 came without the job's secret)"));
  come(1);
  come(2);
  EXPECT_EQ(coordinator_->missing_text(), "");
}

TEST_F(CoordinatorTest, TaskOutsideTheClusterIsRefused) {
  expect_error(Code::kInvalidArgument, {"/job:evaluator/task:0", "/job:worker/task:0"}, [&] {
    coordinator_->register_task({.task = {"evaluator", 0}, .job_id = "job", .version = "1"}, {});
  });
  expect_error(Code::kInvalidArgument, {"worker/task:67"}, [&] { come(67); });
}

TEST_F(CoordinatorTest, StrangersAreToldNothingOfTheJob) {
  come(0);
  const auto try_as = [&](const Task& task) -> std::string {
    try {
      coordinator_->register_task({.task = task, .job_id = "guess", .version = "x"}, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "a seat";
  };
  for (const bool failed : {false, true}) {
    if (failed) coordinator_->fail(Internal("a reason of our own"));
    for (const Task& task : {worker(0), worker(1), worker(67), Task{"nobody", 0}})
      EXPECT_EQ(try_as(task),
                "cluster: " + task.to_string() + " () is of job 'guess', and this is another one");
  }
}

TEST_F(CoordinatorTest, WhatNewcomersSayIsClippedAndPrintable) {
  const std::string huge = "\x1b[2J\n" + std::string(600'000, 'A');
  for (const char* job_id : {"job", "other"}) {
    for (const int index : {1, 2})
      EXPECT_THROW(
          coordinator_->register_task(
              {.task = worker(index), .job_id = job_id, .version = huge, .place = huge}, {}),
          Error);
    const std::string text = coordinator_->missing_text();
    EXPECT_LT(text.size(), 4096u);
    EXPECT_THAT(text, HasSubstr("\\x1b[2J\\nAAA"));
    EXPECT_EQ(text.find_first_of("\x1b\n"), std::string::npos);
  }
  coordinator_->register_task(
      {.task = worker(1), .incarnation = 1, .job_id = "job", .version = "1", .place = huge}, {});
  coordinator_->disconnect(worker(1), 1, "its connection broke");
  EXPECT_LT(std::string(coordinator_->error()->what()).size(), 1024u);
}

TEST_F(CoordinatorTest, SecondTaskOfOneNameIsToldWhereTheFirstIs) {
  all_come();
  expect_error(Code::kAlreadyExists, {"/job:worker/task:1", "host h1"}, [&] { come(1, 999); });
  EXPECT_FALSE(coordinator_->error());
}

TEST_F(CoordinatorTest, RestartedTaskAbortsAll) {
  all_come();
  pass(milliseconds(2500), {0, 2});
  expect_error(Code::kAborted, {"/job:worker/task:1 was restarted"}, [&] { come(1, 999); });
  for (const auto& failures : failures_) {
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_EQ(failures[0].code(), Code::kAborted);
  }
  expect_error(Code::kAborted, {"was restarted"}, [&] { beat(0); });
}

TEST_F(CoordinatorTest, OtherVersionIsRefusedAlone) {
  come(0);
  expect_error(Code::kFailedPrecondition, {"worker/task:1", "'2'", "'1'"}, [&] {
    coordinator_->register_task({.task = worker(1), .job_id = "job", .version = "2"}, {});
  });
  EXPECT_FALSE(coordinator_->error());
  EXPECT_THAT(coordinator_->missing_text(), HasSubstr("runs version '2'"));
  come(1);
  come(2);
  EXPECT_TRUE(coordinator_->started());
}

TEST_F(CoordinatorTest, WhoComesAfterTheFailureIsToldOfItAndWhoComesBackWaits) {
  come(0);
  come(1);
  coordinator_->fail(Internal("a bug"));
  EXPECT_FALSE(coordinator_->all_told());
  expect_error(Code::kAborted, {"worker/task:2", "a bug"}, [&] { come(2); });
  EXPECT_TRUE(coordinator_->all_told());
  expect_error(Code::kUnavailable, {"has failed"}, [&] { come(1); });
}

// --- liveness ------------------------------------------------------------------------------------

TEST_F(CoordinatorTest, HeartbeatOfNobodyIsInvalid) {
  come(0);
  expect_error(Code::kInvalidArgument, {"worker/task:2", "not registered"}, [&] { beat(2); });
  expect_error(Code::kInvalidArgument, {"worker/task:9"}, [&] { beat(9); });
  EXPECT_FALSE(coordinator_->error());
}

TEST_F(CoordinatorTest, HeartbeatOfAnotherIncarnationAbortsAll) {
  all_come();
  for (int again = 0; again < 2; ++again)
    expect_error(Code::kAborted, {"worker/task:1"},
                 [&] { coordinator_->heartbeat(worker(1), 999); });
  ASSERT_EQ(failures_[2].size(), 1u);
  EXPECT_EQ(failures_[2][0].code(), Code::kAborted);
}

TEST_F(CoordinatorTest, SilentTaskDiesAfterFiveSeconds) {
  all_come();
  pass(milliseconds(5000), {0, 2});
  EXPECT_FALSE(coordinator_->error());
  pass(milliseconds(200), {0, 2});
  for (const auto& failures : failures_) {
    ASSERT_EQ(failures.size(), 1u);
    EXPECT_EQ(failures[0].code(), Code::kUnavailable);
    EXPECT_THAT(failures[0].what(), HasSubstr("/job:worker/task:1 (host h1)"));
  }
  expect_error(Code::kUnavailable, {"worker/task:1"}, [&] { beat(1); });
}

TEST_F(CoordinatorTest, BrokenConnectionIsADeathAtOnce) {
  all_come();
  Outcome outcome;
  barrier(0, outcome);
  coordinator_->disconnect(worker(1), 101, "its connection broke");
  EXPECT_EQ(outcome.code(), Code::kUnavailable);
  EXPECT_THAT(outcome.error->what(), HasSubstr("worker/task:1"));
  EXPECT_EQ(failures_[2].size(), 1u);
}

TEST_F(CoordinatorTest, ConnectionOfAnEarlierIncarnationDoesNotMatter) {
  all_come();
  coordinator_->disconnect(worker(1), 5, "its connection broke");
  EXPECT_FALSE(coordinator_->error());
}

TEST_F(CoordinatorTest, ShortStopOfTheLeaderKillsNobody) {
  all_come();
  pass(milliseconds(3000));
  now_ += milliseconds(4000);
  coordinator_->tick();
  EXPECT_FALSE(coordinator_->error());
  pass(milliseconds(2000), {0, 1, 2});
  EXPECT_FALSE(coordinator_->error());
}

TEST_F(CoordinatorTest, ASuspendedJobGoesOnAndNoClockHasRun) {
  all_come();
  Outcome waits, gets, leaves;
  barrier(0, waits, {}, "b", milliseconds(2000));
  coordinator_->get("key", milliseconds(2000), into(gets));
  coordinator_->leave(worker(2), milliseconds(2000), into(leaves));
  pass(milliseconds(1000), {0, 1, 2});
  waits.done = false;  // the barrier ended when a task left
  barrier(0, waits, {0, 1}, "c", milliseconds(1500));
  now_ += milliseconds(12'000);
  coordinator_->tick();
  pass(milliseconds(500), {0, 1, 2});
  EXPECT_FALSE(coordinator_->error());
  EXPECT_FALSE(waits.done || gets.done || leaves.done);
  EXPECT_THAT(warnings_, IsEmpty());
  pass(milliseconds(1200), {0, 1, 2});
  EXPECT_EQ(waits.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(gets.code(), Code::kDeadlineExceeded);
  EXPECT_EQ(leaves.code(), Code::kDeadlineExceeded);
}

TEST_F(CoordinatorTest, ATaskThatGaveAStoppedLeaderUpIsNotToBlame) {
  all_come();
  pass(milliseconds(100));
  now_ += milliseconds(6000);
  coordinator_->tick();
  EXPECT_FALSE(coordinator_->error());
  coordinator_->disconnect(worker(2), 102, "its connection broke");
  ASSERT_TRUE(coordinator_->error());
  EXPECT_THAT(coordinator_->error()->what(),
              HasSubstr("the leader /job:worker/task:0 was stopped for 6.0 s; /job:worker/task:2 "
                        "(host h2) is gone"));
}

TEST_F(CoordinatorTest, ATaskThatIsStoppedAloneIsDead) {
  all_come();
  pass(milliseconds(6000), {0, 2});
  ASSERT_TRUE(coordinator_->error());
  EXPECT_THAT(coordinator_->error()->what(), HasSubstr("/job:worker/task:1 (host h1) is dead"));
}

TEST_F(CoordinatorTest, ATaskThatLeftBeforeACallOfAllIsNamedToThoseInIt) {
  all_come();
  Outcome left;
  const auto beat = [&](int index, uint64_t calls) {
    coordinator_->heartbeat(worker(index), 100 + static_cast<uint64_t>(index), {}, calls);
  };
  beat(0, 6);
  coordinator_->leave(worker(1), kEndless, into(left), 7);
  beat(0, 7);
  beat(2, 5);
  EXPECT_FALSE(coordinator_->error()) << "they make the calls that it has made";
  beat(2, 8);
  ASSERT_TRUE(coordinator_->error());
  EXPECT_EQ(coordinator_->error()->code(), Code::kFailedPrecondition);
  EXPECT_THAT(coordinator_->error()->what(),
              HasSubstr("/job:worker/task:1 (host h1) has left the cluster and will not come: it "
                        "left after 7 calls of all tasks, and /job:worker/task:2 is in another"));
  EXPECT_EQ(left.code(), Code::kFailedPrecondition);
}

TEST_F(CoordinatorTest, ATaskThatLeavesWhileAnotherWaitsForItIsNamedAtOnce) {
  all_come();
  Outcome left;
  coordinator_->heartbeat(worker(0), 100, {}, 3);
  coordinator_->leave(worker(2), kEndless, into(left), 2);
  ASSERT_TRUE(coordinator_->error());
  EXPECT_THAT(coordinator_->error()->what(), HasSubstr("/job:worker/task:2 (host h2) has left"));
}

TEST_F(CoordinatorTest, AReportThatNamesItsTaskIsNotNamedTwice) {
  all_come();
  coordinator_->report_error(worker(1), DataLoss("/job:worker/task:1: a file"));
  EXPECT_STREQ(coordinator_->error()->what(), "/job:worker/task:1: a file");
}

TEST_F(CoordinatorTest, ReportedErrorEndsEveryWaitAndComesFromAllLaterCalls) {
  all_come();
  Outcome at_barrier, at_get, later, leaving;
  barrier(0, at_barrier, {0, 1});
  coordinator_->get("key", milliseconds(1000), into(at_get));
  coordinator_->leave(worker(2), kEndless, into(leaving));
  coordinator_->report_error(worker(1), Internal("matmul: broken"));
  barrier(1, later, {0, 1});
  for (const Outcome* outcome : {&at_barrier, &at_get, &later, &leaving}) {
    EXPECT_EQ(outcome->code(), Code::kInternal);
    EXPECT_STREQ(outcome->error->what(), "/job:worker/task:1: matmul: broken");
  }
  expect_error(Code::kInternal, {"matmul"}, [&] { coordinator_->insert("a", "b"); });
}

TEST_F(CoordinatorTest, FirstErrorStays) {
  all_come();
  coordinator_->report_error(worker(1), Internal("first"));
  coordinator_->report_error(worker(2), Internal("second"));
  coordinator_->disconnect(worker(1), 101, "gone");
  EXPECT_THAT(coordinator_->error()->what(), HasSubstr("first"));
  EXPECT_EQ(failures_[0].size(), 1u);
}

TEST_F(CoordinatorTest, ACircleOfWaitsThatLastsFailsTheJob) {
  all_come();
  const auto beat_and_tick = [&] {
    coordinator_->heartbeat(worker(0), 100, {{7, "step/0", "step/1", "all_reduce"}});
    coordinator_->heartbeat(worker(1), 101, {{9, "step/1", "step/0", "all_gather"}});
    pass(milliseconds(1000), {2});
  };
  beat_and_tick();
  EXPECT_FALSE(coordinator_->error());
  for (int i = 0; i < 2; ++i)
    if (!coordinator_->error()) beat_and_tick();
  ASSERT_TRUE(coordinator_->error());
  EXPECT_EQ(coordinator_->error()->code(), Code::kFailedPrecondition);
  EXPECT_THAT(coordinator_->error()->what(),
              AllOf(HasSubstr("task:0 in all_reduce"), HasSubstr("task:1 in all_gather")));
  EXPECT_THAT(failures_[2], SizeIs(1));
}

// --- key-value store -----------------------------------------------------------------------------

TEST_F(CoordinatorTest, KeysAreWrittenOnceUnderTheirNormalName) {
  coordinator_->insert("path//to///key1////", "value");
  EXPECT_EQ(coordinator_->try_get("/path/to/key1"), "value");
  expect_error(Code::kAlreadyExists, {"path/to/key1"},
               [&] { coordinator_->insert("path/to/key1", "other"); });
  EXPECT_EQ(coordinator_->try_get("path/to"), std::nullopt);
}

TEST_F(CoordinatorTest, GetWaitsForTheKey) {
  Outcome first, second, late;
  coordinator_->get("/a/key", milliseconds(1000), into(first));
  coordinator_->get("a//key", milliseconds(1000), into(second));
  EXPECT_FALSE(first.done);
  coordinator_->insert("a/key", "value");
  coordinator_->get("a/key", milliseconds(0), into(late));
  for (const Outcome* outcome : {&first, &second, &late}) {
    EXPECT_TRUE(outcome->ok());
    EXPECT_EQ(outcome->value, "value");
  }
}

TEST_F(CoordinatorTest, GetEndsAtItsDeadlineNamingTheKey) {
  all_come();
  Outcome outcome;
  coordinator_->get("a/key", milliseconds(1000), into(outcome));
  pass(milliseconds(900), {0, 1, 2});
  EXPECT_FALSE(outcome.done);
  pass(milliseconds(100), {0, 1, 2});
  EXPECT_EQ(outcome.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(outcome.error->what(), HasSubstr("a/key"));
}

TEST_F(CoordinatorTest, ValuesAreBounded) {
  expect_error(Code::kInvalidArgument, {"bytes"},
               [&] { coordinator_->insert("key", std::string(kMaxValueBytes, 'x')); });
}

// --- leaving -------------------------------------------------------------------------------------

TEST_F(CoordinatorTest, LeavingWaitsForAll) {
  all_come();
  Outcome outcomes[3];
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(outcomes[0].done);
    coordinator_->leave(worker(i), milliseconds(1000), into(outcomes[i]));
  }
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.ok());
  coordinator_->disconnect(worker(1), 101, "its connection broke");
  coordinator_->fail(Unavailable("the leader has ended"));
  EXPECT_FALSE(coordinator_->error());
  for (const auto& failures : failures_) EXPECT_THAT(failures, IsEmpty());
}

TEST_F(CoordinatorTest, LeavingNamesWhoStays) {
  all_come();
  Outcome outcome;
  coordinator_->leave(worker(0), milliseconds(1000), into(outcome));
  pass(milliseconds(1000), {1, 2});
  EXPECT_EQ(outcome.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(outcome.error->what(), HasSubstr("/job:worker/task:1, /job:worker/task:2"));
  EXPECT_THAT(outcome.error->what(), ::testing::Not(HasSubstr("task:0")));
}

TEST_F(CoordinatorTest, TaskThatHasLeftDoesNotDie) {
  all_come();
  Outcome outcome;
  coordinator_->leave(worker(2), kEndless, into(outcome));
  coordinator_->disconnect(worker(2), 102, "its connection broke");
  pass(milliseconds(20'000), {0, 1});
  EXPECT_FALSE(coordinator_->error());
  EXPECT_FALSE(outcome.done);
}

TEST_F(CoordinatorTest, EndlessTimeoutsDoNotOverflow) {
  all_come();
  Outcome at_barrier, at_get;
  barrier(0, at_barrier, {}, "b", milliseconds::max());
  coordinator_->get("key", milliseconds::max(), into(at_get));
  pass(milliseconds(1000), {0, 1, 2});
  EXPECT_FALSE(at_barrier.done || at_get.done);
}

}  // namespace
}  // namespace cohort::cluster
