#include "launch/verdict.h"

#include <gmock/gmock.h>

namespace cohort::launch {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

WorkerEnd running() { return {.name = "worker"}; }
WorkerEnd ended(int code, int64_t time, bool killed = false) {
  return {.name = "worker", .ending = Ending{code, "an ending", killed, time}};
}
WorkerEnd with_record(WorkerEnd worker, bool own, int64_t time) {
  worker.record = {.task = "/job:worker/task:1", .own = own, .text = "text", .time_ns = time};
  return worker;
}

TEST(VerdictTest, NobodyIsToBlameForAJobThatEndsWell) {
  EXPECT_EQ(find_culprit({ended(0, 1), running()}), std::nullopt);
  EXPECT_EQ(find_culprit({ended(0, 1), with_record(ended(0, 2), true, 1)}), std::nullopt);
}

TEST(VerdictTest, AnErrorOfOnesOwnGoesBeforeOthersThatEndedEarlier) {
  EXPECT_THAT(find_culprit({with_record(ended(3, 1), false, 1), ended(4, 2),
                            with_record(ended(5, 3), true, 3)}),
              Optional(2u));
}

TEST(VerdictTest, OfErrorsOfTheirOwnTheFirstCounts) {
  EXPECT_THAT(find_culprit({with_record(ended(3, 1), true, 8), with_record(ended(3, 2), true, 7)}),
              Optional(1u));
}

TEST(VerdictTest, AWorkerKilledByASignalGoesBeforeThoseThatHeardOfIt) {
  EXPECT_THAT(find_culprit({with_record(ended(3, 1), false, 1), ended(137, 2, true)}),
              Optional(1u));
  EXPECT_THAT(find_culprit({with_record(ended(3, 5), true, 4), ended(137, 2, true)}), Optional(1u));
}

TEST(VerdictTest, AWorkerThatStillRunsOrEndedWellCanBeTheCause) {
  EXPECT_THAT(find_culprit({with_record(ended(3, 1), false, 2), with_record(running(), true, 1)}),
              Optional(1u));
  EXPECT_THAT(find_culprit({with_record(ended(3, 2), false, 2), with_record(ended(0, 1), true, 1)}),
              Optional(1u));
}

TEST(VerdictTest, WithoutRecordsTheFirstThatFailedIsTheCause) {
  EXPECT_THAT(find_culprit({ended(3, 9), ended(4, 8), ended(0, 7)}), Optional(1u));
  EXPECT_THAT(
      find_culprit({with_record(ended(3, 1), false, 1), with_record(ended(3, 2), false, 2)}),
      Optional(0u));
}

TEST(VerdictTest, TheErrorIsTheRecordsAndTheLastLines) {
  WorkerEnd worker = with_record(ended(3, 1), true, 1);
  worker.last_lines = "  the end\n";
  EXPECT_EQ(describe(worker),
            "worker failed: an ending; Unknown: text; its last lines:\n  the end\n");
  EXPECT_EQ(describe(running()), "worker failed: it has not ended");
}

}  // namespace
}  // namespace cohort::launch
