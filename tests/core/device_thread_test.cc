#include "cohort/core/runtime/device_thread.h"

#include <gtest/gtest.h>

#include <atomic>

#include "cohort/core/error.h"
#include "cohort/core/runtime/cpu_device.h"

namespace cohort {
namespace {

using std::chrono::milliseconds;

struct Job {
  std::atomic<bool> may_end{false};
  int runs = 0;
  static void run(void* self) {
    Job& job = *static_cast<Job*>(self);
    job.may_end.wait(false);
    ++job.runs;
  }
  void end() {
    may_end.store(true);
    may_end.notify_all();
  }
};

class DeviceThreadTest : public ::testing::Test {
 protected:
  std::unique_ptr<Device> device_ = make_cpu_device(0, 1);
};

TEST_F(DeviceThreadTest, RunsOneJobAfterTheOther) {
  Job job;
  job.end();
  DeviceThread thread(*device_);
  thread.wait();  // nothing was asked for
  for (int i = 1; i <= 1000; ++i) {
    thread.start(Job::run, &job);
    thread.wait();
    ASSERT_EQ(job.runs, i);
  }
}

TEST_F(DeviceThreadTest, AWaitHasADeadlineAndNamesTheDevice) {
  Job job;
  DeviceThread thread(*device_);
  thread.start(Job::run, &job);
  try {
    thread.wait(milliseconds(20));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kDeadlineExceeded);
    EXPECT_NE(std::string(error.what()).find("CPU:0"), std::string::npos) << error.what();
  }
  EXPECT_THROW(thread.start(Job::run, &job), Error);
  job.end();
  thread.wait();
  EXPECT_EQ(job.runs, 1);
  thread.start(Job::run, &job);
  thread.wait();
  EXPECT_EQ(job.runs, 2);
}

TEST_F(DeviceThreadTest, TheJobInHandEndsBeforeTheThread) {
  Job job;
  std::thread ends([&] { job.end(); });
  {
    DeviceThread thread(*device_);
    thread.start(Job::run, &job);
  }
  ends.join();
  EXPECT_EQ(job.runs, 1);
}

}  // namespace
}  // namespace cohort
