#include <algorithm>
#include <cmath>
#include <numeric>

#include "cohort/kernels/cuda/device.h"
#include "tests/emulated/mistakes.h"
#include "tests/gpu/device_case.h"

// What the emulation finds in kernels that are wrong; so a kernel's test that passes says
// something.
namespace cohort::emulated {
namespace {

using testing::gpu;

constexpr int64_t kCount = 512;

cuda::CudaDevice& device() { return static_cast<cuda::CudaDevice&>(*gpu()); }

template <class T>
std::shared_ptr<T> on_device(const std::vector<T>& values) {
  const auto memory = std::static_pointer_cast<T>(gpu()->allocate(values.size() * sizeof(T)));
  gpu()->copy_from_host(memory.get(), values.data(), values.size() * sizeof(T));
  return memory;
}

template <class T>
std::vector<T> on_host(const std::shared_ptr<T>& memory, size_t count) {
  std::vector<T> values(count);
  gpu()->copy_to_host(values.data(), memory.get(), count * sizeof(T));
  return values;
}

std::vector<float> numbers() {
  std::vector<float> values(kCount);
  std::iota(values.begin(), values.end(), 1.f);
  return values;
}

// Runs the wrong kernel; returns the error's text, or "" without one.
std::string error_of(Mistake mistake, const float* host = nullptr) {
  const auto x = on_device(numbers());
  const auto y = on_device(std::vector<float>(kCount));
  try {
    reverse(mistake, host ? host : x.get(), y.get(), device().compute_stream());
    gpu()->synchronize();
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

void expect_found(Mistake mistake, const std::string& text, const float* host = nullptr) {
  const std::string error = error_of(mistake, host);
  EXPECT_NE(error.find(text), std::string::npos)
      << "mistake " << static_cast<int>(mistake) << ": got \"" << error << "\"; want " << text;
  EXPECT_EQ(error_of(Mistake::kNone), "") << "the next kernel";
}

TEST(EmulationTest, ARightKernelRuns) {
  const auto x = on_device(numbers());
  const auto y = on_device(std::vector<float>(kCount));
  reverse(Mistake::kNone, x.get(), y.get(), device().compute_stream());
  std::vector<float> want = numbers();
  std::reverse(want.begin(), want.begin() + kCount / 2);
  std::reverse(want.begin() + kCount / 2, want.end());
  EXPECT_EQ(on_host(y, kCount), want);
}

TEST(EmulationTest, FindsBarriersThatNotAllThreadsReach) {
  expect_found(Mistake::kBarrierInBranch,
               "block 0: of 256 threads 128 have ended, 128 wait at the barrier of mistakes.cu:");
  expect_found(Mistake::kExitBeforeBarrier,
               "block 0: of 256 threads 1 have ended, 255 wait at the barrier of mistakes.cu:");
  expect_found(Mistake::kTwoBarriers,
               "block 0: of 256 threads 0 have ended, 128 wait at the barrier of mistakes.cu:");
}

TEST(EmulationTest, FindsThreadsThatNothingOrders) {
  expect_found(Mistake::kMissingBarrier, "reads");
  expect_found(Mistake::kOverwritten, "writes otherwise what thread");
  expect_found(Mistake::kAcrossBlocks, "of the grid writes, in no order");
}

TEST(EmulationTest, FindsSharedMemoryThatNobodyWrote) {
  expect_found(
      Mistake::kUnwrittenShared,
      "thread 128 of the grid reads shared memory that no thread of its block has written");
}

TEST(EmulationTest, FindsMemoryOfTheHost) {
  const std::vector<float> host(kCount);
  expect_found(Mistake::kNone, "of the grid reads memory that is not the device's", host.data());
}

TEST(EmulationTest, FindsShufflesThatLanesMiss) {
  expect_found(Mistake::kIncompleteShuffle, "wait for lanes in mistakes.cu:");
  expect_found(Mistake::kShuffleOutsideMask, "asks lane 31, which is not in the mask");
}

// The sanitizers end the process.
TEST(EmulationDeathTest, FindsOverrunsAndMisalignedAddresses) {
  EXPECT_DEATH(error_of(Mistake::kOverrun), "heap-buffer-overflow");
  EXPECT_DEATH(error_of(Mistake::kSharedOverrun), "index 256 out of bounds");
  const auto x = on_device(std::vector<float>(kCount + 1));
  const auto* odd = reinterpret_cast<const float*>(reinterpret_cast<const char*>(x.get()) + 1);
  EXPECT_DEATH(error_of(Mistake::kNone, odd), "misaligned address");
}

TEST(EmulationTest, ShufflesAndVotesFollowTheirDefinition) {
  std::vector<int> values(96);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i * 37 % 11) - 5;
  std::fill(values.begin() + 64, values.end(), 3);
  const auto y = on_device(std::vector<int>(4 * 96));
  warp_functions(on_device(values).get(), y.get(), 96, device().compute_stream());
  const std::vector<int> got = on_host(y, 4 * 96);
  for (size_t i = 0; i < 96; ++i) {
    const auto warp = values.begin() + static_cast<int64_t>(i / 32 * 32);
    const int sum = std::accumulate(warp, warp + 32, 0);
    for (const size_t way : {0, 1, 2}) EXPECT_EQ(got[way * 96 + i], sum) << way << " " << i;
    EXPECT_EQ(got[3 * 96 + i], std::count_if(warp, warp + 32, [](int v) { return v > 0; }));
  }
}

TEST(EmulationTest, AtomicsOfAllThreadsCount) {
  std::vector<int> values(1000, 2);
  values[777] = 50;
  const auto sum = on_device(std::vector<int>{1}), largest = on_device(std::vector<int>{3});
  atomics(on_device(values).get(), 1000, sum.get(), largest.get(), device().compute_stream());
  EXPECT_EQ(on_host(sum, 1)[0], 1 + 999 * 2 + 50);
  EXPECT_EQ(on_host(largest, 1)[0], 50);
}

TEST(EmulationTest, WorkWaitsUntilItIsWaitedFor) {
  const auto x = on_device(std::vector<int>{1});
  int number = 2;
  const cudaStream_t stream = device().compute_stream();
  ASSERT_EQ(cudaMemcpyAsync(x.get(), &number, sizeof number, cudaMemcpyHostToDevice, stream),
            cudaSuccess);
  number = 3;  // too early
  EXPECT_EQ(on_host(x, 1)[0], 3);
}

TEST(EmulationTest, CopiesKnowWhoseMemoryIsWhose) {
  const auto x = on_device(std::vector<int>{1});
  int number = 2;
  const cudaStream_t stream = device().compute_stream();
  for (const cudaMemcpyKind kind : {cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice})
    EXPECT_EQ(cudaMemcpyAsync(x.get(), &number, sizeof number, kind, stream),
              cudaErrorInvalidValue);
}

}  // namespace
}  // namespace cohort::emulated
