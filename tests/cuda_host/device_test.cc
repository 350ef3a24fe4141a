#include "cohort/kernels/cuda/device.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <thread>

#include "cohort/kernels/cuda/discover.h"
#include "cohort/kernels/cuda/wait.h"
#include "tests/cuda_host/fake_cuda.h"
#include "tests/support/expect_error.h"

namespace cohort::cuda {
namespace {

using std::chrono::milliseconds;
using testing::expect_error;
using testing::fake_cuda;

constexpr size_t kMiB = size_t{1} << 20;

class CudaHostTest : public ::testing::Test {
 protected:
  CudaHostTest() { testing::reset_fake_cuda(); }
};

// ---- Which devices, and when they are used.

TEST_F(CudaHostTest, ACardWithoutCodeIsLeftOutWithTheReason) {
  fake_cuda().devices.resize(3);
  fake_cuda().devices[0] = {.name = "Old", .major = 7, .minor = 0};
  fake_cuda().devices[2] = {.name = "Busy", .mode = cudaComputeModeProhibited};
  const Discovery found = discover("80-real,90-real");
  EXPECT_EQ(found.ordinals, std::vector<int>{1});
  for (const char* part : {"gpu:1 Fake H100", "gpu:0 Old", "left out: compute capability 7.0",
                           "80-real,90-real", "gpu:2 Busy", "prohibited"})
    EXPECT_NE(found.detail.find(part), std::string::npos) << part << " in " << found.detail;
}

TEST_F(CudaHostTest, WithoutAUsableCardTheReasonIsGiven) {
  fake_cuda().devices[0].major = 12;
  EXPECT_EQ(discover("90-real").detail.find("no device: gpu:0 Fake H100"), 0u);
  fake_cuda().devices.clear();
  EXPECT_EQ(discover("90-real").detail, "no device: CUDA counts 0");
}

TEST_F(CudaHostTest, AnOldDriverIsNamedWithBothVersions) {
  fake_cuda().count_status = cudaErrorInsufficientDriver;
  fake_cuda().driver_version = 12040;
  const Discovery found = discover("90-real");
  EXPECT_TRUE(found.ordinals.empty());
  EXPECT_EQ(found.detail,
            "no device: the driver is for CUDA 12.4 and this build for 13.0; want a newer driver");
}

TEST_F(CudaHostTest, OnlyADeviceThatIsUsedGetsAContext) {
  fake_cuda().devices.resize(3);
  (void)discover("90-real");
  CudaDevice first(0), second(1), third(2);
  EXPECT_TRUE(fake_cuda().contexts.empty());
  (void)second.allocate(10);
  second.synchronize();
  EXPECT_EQ(fake_cuda().contexts, std::set<int>{1});
  std::thread([&] { second.synchronize(); }).join();
  EXPECT_EQ(fake_cuda().contexts, std::set<int>{1});
}

TEST_F(CudaHostTest, ADeviceThatRunsNoKernelIsRefusedAtFirstUse) {
  fake_cuda().devices[0].kernels_run = false;
  CudaDevice device(0);
  for (int i = 0; i < 2; ++i)
    expect_error(Code::kFailedPrecondition, {"GPU:0", "cannot be used"},
                 [&] { (void)device.allocate(1); });
}

// ---- Memory.

TEST_F(CudaHostTest, AnArenaTakesWhatThePoolKeeps) {
  CudaDevice device(0);
  { const auto memory = device.allocate(180 * kMiB); }
  EXPECT_GE(fake_cuda().devices[0].pooled_bytes, 180 * kMiB);
  device.arena().grow(150 * kMiB);
  EXPECT_GE(device.arena().bytes(), 150 * kMiB);
  EXPECT_EQ(fake_cuda().devices[0].pooled_bytes, 0u);
  expect_error(Code::kResourceExhausted, {"gpu:0"}, [&] { (void)device.allocate(200 * kMiB); });
}

TEST_F(CudaHostTest, MemoryIsAlignedForWorkspaces) {
  CudaDevice device(0);
  const auto memory = device.allocate(3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.get()) % 256, 0u);
}

// ---- Waits.

TEST_F(CudaHostTest, AStalledDeviceIsWaitedForUnderMonitors) {
  CudaDevice device(0);
  const auto memory = device.allocate(8);
  const auto monitor = device.streams()->monitors.add([](milliseconds waited) {
    if (waited > milliseconds(100)) throw DeadlineExceeded("rank 1 is silent");
  });
  const int blocking = fake_cuda().blocking_waits;
  fake_cuda().stalled = true;
  std::vector<char> host(8);
  const auto many_uploads = [&] {
    for (int i = 0; i < 40; ++i) device.copy_from_host(memory.get(), host.data(), 8);
  };
  expect_error(Code::kDeadlineExceeded, {"rank 1 is silent"}, many_uploads);
  expect_error(Code::kDeadlineExceeded, {"rank 1 is silent"},
               [&] { device.copy_to_host(host.data(), memory.get(), 8); });
  expect_error(Code::kDeadlineExceeded, {"rank 1 is silent"}, [&] { device.synchronize(); });
  expect_error(Code::kDeadlineExceeded, {"rank 1 is silent"}, [&] { (void)device.allocate(1); });
  EXPECT_EQ(fake_cuda().blocking_waits, blocking);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "a query's status would be the next launch's";
  fake_cuda().stalled = false;
  device.synchronize();
}

// ---- Readers beside who submits.

TEST_F(CudaHostTest, ReadersAndTheSubmittingThreadDoNotShareStaging) {
  CudaDevice device(0);
  constexpr size_t kCount = kMiB;
  const auto source = device.allocate(kCount * sizeof(int));
  const auto target = device.allocate(kCount * sizeof(int));
  std::vector<int> values(kCount);
  std::iota(values.begin(), values.end(), 1);
  device.copy_from_host(source.get(), values.data(), kCount * sizeof(int));
  const auto read = [&] {
    std::vector<int> seen(kCount);
    for (int i = 0; i < 20; ++i) {
      device.copy_to_host(seen.data(), source.get(), kCount * sizeof(int));
      EXPECT_EQ(seen, values);
    }
  };
  std::thread one(read), two(read);
  const std::vector<int> zeros(kCount);
  for (int i = 0; i < 20; ++i)
    device.copy_from_host(target.get(), zeros.data(), kCount * sizeof(int));
  one.join();
  two.join();
}

TEST_F(CudaHostTest, AFaultIsReadOnceAndAnothersIsCancelled) {
  CudaDevice device(0);
  const int site = device.faults().add_site(Code::kInvalidArgument, "got {got} at {index}");
  *device.faults().device() = {.site = site, .reserved = 0, .got = 99, .index = 3, .limit = 9};
  expect_error(Code::kInvalidArgument, {"got 99 at 3"}, [&] { device.synchronize(); });
  device.synchronize();
  device.faults().device()->site = Fault::kElsewhere;
  expect_error(Code::kCancelled, {"another replica failed"}, [&] { device.synchronize(); });
  device.synchronize();
}

TEST_F(CudaHostTest, WhoeverReadsAFaultOfAGroupGetsItsReasonAndClearsIt) {
  fake_cuda().devices.resize(2);
  CudaDevice first(0), second(1);
  first.faults().join(second.faults());
  second.faults().join(first.faults());
  const int site = second.faults().add_site(Code::kInvalidArgument, "got {got}");
  second.faults().device()->site = site;
  second.faults().device()->got = 99;
  first.faults().device()->site = Fault::kElsewhere;
  expect_error(Code::kInvalidArgument, {"got 99"}, [&] { first.synchronize(); });
  first.synchronize();
  second.synchronize();
}

// ---- Recordings.

TEST_F(CudaHostTest, RecordingsKeepTheCollectivesPriority) {
  CudaDevice device(0);
  ASSERT_TRUE(device.begin_recording());
  const auto recording = device.end_recording();
  EXPECT_EQ(fake_cuda().graph_flags & cudaGraphInstantiateFlagUseNodePriority,
            static_cast<unsigned long long>(cudaGraphInstantiateFlagUseNodePriority));
}

TEST_F(CudaHostTest, NothingIsRecordedWhereThatIsTurnedOff) {
  setenv("COHORT_RECORD", "0", 1);
  CudaDevice device(0);
  unsetenv("COHORT_RECORD");
  EXPECT_FALSE(device.begin_recording());
}

}  // namespace
}  // namespace cohort::cuda
