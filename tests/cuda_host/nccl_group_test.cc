#include "cohort/kernels/cuda/nccl/group.h"

#include <gtest/gtest.h>

#include <condition_variable>

#include "tests/cuda_host/fake_cuda.h"
#include "tests/cuda_host/fake_nccl.h"
#include "tests/support/expect_error.h"

namespace cohort::cuda {
namespace {

using std::chrono::milliseconds;
using testing::expect_error;
using testing::fake_nccl;

/// Closed until somebody opens it.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return open_; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class NcclGroupTest : public ::testing::Test {
 protected:
  NcclGroupTest() {
    testing::reset_fake_cuda();
    testing::reset_fake_nccl();
  }
  static std::unique_ptr<Group> group(milliseconds timeout = Group::kTimeout) {
    return std::make_unique<Group>(std::vector<int>{0, 1}, CombineOrder{{0, 1}}, 2, timeout);
  }
};

TEST_F(NcclGroupTest, CommunicatorsEndWithTheGroup) {
  group().reset();
  EXPECT_EQ(fake_nccl().destroys, 2);
  EXPECT_EQ(fake_nccl().live, 0);
}

// As NCCL does while captured graphs with the group's collectives are there.
TEST_F(NcclGroupTest, AnAbortThatWaitsForRecordingsKeepsNobody) {
  Gate recordings_gone;
  fake_nccl().during_abort = [&] { recordings_gone.pass(); };
  auto ranks = group();
  ranks->abort(Unavailable("task 1 died"));
  ranks->abort(Internal("another"));
  for (const int rank : {0, 1}) {
    expect_error(Code::kUnavailable, {"task 1 died"}, [&] { ranks->watch(rank, milliseconds(1)); });
    expect_error(Code::kUnavailable, {"task 1 died"},
                 [&] { ranks->submit(rank, [](ncclComm_t) { FAIL() << "NCCL was called"; }); });
  }
  recordings_gone.open();
  ranks.reset();
  EXPECT_EQ(fake_nccl().aborts, 2);
  EXPECT_EQ(fake_nccl().live, 0);
}

TEST_F(NcclGroupTest, ACallUnderWayKeepsItsCommunicator) {
  Gate aborting, done;
  auto ranks = group();
  std::atomic<bool> in_call = false;
  fake_nccl().during_abort = [&] { EXPECT_FALSE(in_call); };
  std::thread caller([&] {
    ranks->submit(0, [&](ncclComm_t) {
      in_call = true;
      aborting.open();
      while (!ranks->is_aborted()) std::this_thread::yield();
      in_call = false;
    });
  });
  aborting.pass();
  ranks->abort(Unavailable("task 1 died"));
  caller.join();
  ranks.reset();
  EXPECT_EQ(fake_nccl().aborts, 2);
}

TEST_F(NcclGroupTest, AResetGroupIsUsedAgain) {
  auto ranks = group();
  ranks->abort(Unavailable("a step failed"));
  EXPECT_TRUE(ranks->reset());
  EXPECT_EQ(fake_nccl().inits, 2);
  bool called = false;
  ranks->submit(1, [&](ncclComm_t comm) { called = comm != nullptr; });
  EXPECT_TRUE(called);
  ranks->watch(0, milliseconds(1));
  ranks->abort(Unavailable("another step failed"));
  expect_error(Code::kUnavailable, {"another"}, [&] { ranks->watch(0, milliseconds(1)); });
  EXPECT_TRUE(ranks->reset());
  ranks.reset();
  EXPECT_EQ(fake_nccl().live, 0);
}

TEST_F(NcclGroupTest, AGroupThatCannotBeMadeAgainSaysWhy) {
  auto ranks = group();
  ranks->abort(Unavailable("a step failed"));
  fake_nccl().init_fails = true;
  EXPECT_FALSE(ranks->reset());
  expect_error(Code::kInternal, {"ncclCommInitAll"},
               [&] { ranks->submit(0, [](ncclComm_t) { FAIL() << "NCCL was called"; }); });
}

TEST_F(NcclGroupTest, ASilentPeerEndsAWaitAtTheDeadline) {
  auto ranks = group(milliseconds(200));
  ranks->watch(0, milliseconds(100));
  expect_error(Code::kDeadlineExceeded, {"rank 0 of 2"},
               [&] { ranks->watch(0, milliseconds(300)); });
  expect_error(Code::kDeadlineExceeded, {"rank 0 of 2"}, [&] { ranks->watch(1, milliseconds(1)); });
}

TEST_F(NcclGroupTest, AJobsGroupIsNotReset) {
  JobGroup job{.process = 0,
               .num_processes = 2,
               .id = std::string(NCCL_UNIQUE_ID_BYTES, 'x'),
               .timeout = std::chrono::seconds(60),
               .failure = [] { return std::optional<Error>(); }};
  Device* const one[] = {nullptr};
  job.devices = one;
  Group ranks({0}, job);
  ranks.abort(Unavailable("task 1 died"));
  EXPECT_FALSE(ranks.reset());
  expect_error(Code::kUnavailable, {"task 1 died"}, [&] { ranks.submit(0, [](ncclComm_t) {}); });
}

TEST_F(NcclGroupTest, AnExceptionLeavesNoGroupOfCallsOpen) {
  EXPECT_THROW(
      {
        CallGroup calls;
        throw Internal("in between");
      },
      Error);
  EXPECT_EQ(fake_nccl().open_groups, 0);
  {
    CallGroup calls;
    calls.end();
  }
  EXPECT_EQ(fake_nccl().open_groups, 0);
}

}  // namespace
}  // namespace cohort::cuda
