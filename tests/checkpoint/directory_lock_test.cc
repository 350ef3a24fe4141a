#include "cohort/checkpoint/directory_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/checkpoint/support.h"
#include "tests/support/expect_error.h"

namespace cohort::checkpoint {
namespace {

using std::chrono::milliseconds;
using testing::expect_error;

class DirectoryLockTest : public ::testing::Test {
 protected:
  void write(const LockHolder& holder) { write_file(*storage_, path(), serialize(holder)); }
  std::string path() const { return directory_.path("lock"); }
  LockHolder holder() { return parse_lock_holder(read_file(*storage_, path(), 4096)).value(); }
  /// A process that lives: the parent of this one, as another program would see it.
  static LockHolder elsewhere() {
    LockHolder holder = LockHolder::here("");
    holder.host = "another";
    return holder;
  }

  TemporaryDirectory directory_;
  std::shared_ptr<Storage> storage_ = posix_storage();
};

TEST_F(DirectoryLockTest, NamesItsHolderAndIsGivenFree) {
  {
    const DirectoryLock lock(storage_, directory_.path(), {.job = "train-7"});
    lock.check();
    EXPECT_EQ(holder(), LockHolder::here("train-7"));
  }
  EXPECT_TRUE(storage_->list(directory_.path()).empty());
  const DirectoryLock again(storage_, directory_.path());
}

TEST_F(DirectoryLockTest, HasOneHolderInAProcess) {
  const DirectoryLock lock(storage_, directory_.path(), {.job = "j"});
  expect_error(Code::kFailedPrecondition, {directory_.path(), "this process"},
               [&] { DirectoryLock(storage_, directory_.path(), {.job = "j"}); });
  lock.check();
}

TEST_F(DirectoryLockTest, ADeadProcessOfThisHostLosesItAtOnce) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  LockHolder dead = LockHolder::here("");
  dead.pid = child;
  waitpid(child, nullptr, 0);
  write(dead);
  const DirectoryLock lock(storage_, directory_.path(), {.falls_after = std::chrono::hours(1)});
  EXPECT_EQ(holder().pid, getpid());
}

TEST_F(DirectoryLockTest, TheSameJobTakesItAtOnceFromAnyHost) {
  LockHolder other = elsewhere();
  other.job = "train-7";
  write(other);
  const DirectoryLock lock(storage_, directory_.path(),
                           {.job = "train-7", .falls_after = std::chrono::hours(1)});
  EXPECT_EQ(holder().host, LockHolder::here("").host);
}

TEST_F(DirectoryLockTest, OneThatIsNotRenewedFalls) {
  write(elsewhere());
  const DirectoryLock lock(storage_, directory_.path(), {.falls_after = milliseconds(50)});
  EXPECT_EQ(holder().host, LockHolder::here("").host);
}

TEST_F(DirectoryLockTest, ADamagedOneFallsToo) {
  write_file(*storage_, path(), "{\"host\": 7");
  const DirectoryLock lock(storage_, directory_.path(), {.falls_after = milliseconds(50)});
  EXPECT_EQ(holder().pid, getpid());
}

TEST_F(DirectoryLockTest, OneThatIsRenewedIsNamed) {
  LockHolder other = elsewhere();
  write(other);
  std::jthread renewing([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      ++other.renewals;
      write_file(*storage_, path() + "2", serialize(other));
      storage_->rename(path() + "2", path());
      std::this_thread::yield();
    }
  });
  expect_error(Code::kFailedPrecondition, {directory_.path(), "on another"}, [&] {
    DirectoryLock(storage_, directory_.path(), {.falls_after = std::chrono::hours(1)});
  });
}

TEST_F(DirectoryLockTest, WhoHasLostItIsTold) {
  const DirectoryLock lock(storage_, directory_.path(), {.renew_every = std::chrono::hours(1)});
  storage_->remove_file(path());
  expect_error(Code::kAborted, {"nobody"}, [&] { lock.check(); });
  write(elsewhere());
  expect_error(Code::kAborted, {"on another"}, [&] { lock.check(); });
}

TEST_F(DirectoryLockTest, AThreadRenewsIt) {
  const DirectoryLock lock(storage_, directory_.path(), {.renew_every = milliseconds(1)});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (holder().renewals < 3) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  lock.check();
}

}  // namespace
}  // namespace cohort::checkpoint
