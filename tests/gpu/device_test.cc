#include <algorithm>
#include <numeric>
#include <thread>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/replica_tree.h"
#include "tests/gpu/device_case.h"

namespace cohort::testing {
namespace {

using GpuDeviceTest = GpuTest;

std::vector<float> counting(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 1.f);
  return values;
}

std::vector<float> read(Device& device, const void* from, size_t n) {
  std::vector<float> values(n);
  device.copy_to_host(values.data(), from, n * sizeof(float));
  return values;
}

/// What can be allocated now, to a sixteenth of the device.
size_t free_bytes(Device& device) {
  size_t found = 0;
  for (size_t bytes = size_t{1} << 40; bytes >= size_t{1} << 28; bytes /= 2) {
    try {
      (void)device.allocate(found + bytes);
      found += bytes;
    } catch (const Error&) {
    }
  }
  return found;
}

TEST_F(GpuDeviceTest, NewMemoryIsZeroAndAligned) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100}, size_t{5} << 20}) {
    const std::shared_ptr<void> memory = gpu()->allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.get()) % 256, 0u);
    std::vector<char> host(bytes, 1);
    gpu()->copy_to_host(host.data(), memory.get(), bytes);
    EXPECT_EQ(std::count(host.begin(), host.end(), 0), static_cast<int64_t>(bytes));
  }
}

TEST_F(GpuDeviceTest, CopiesOfEverySizeComeBack) {
  for (const size_t n : {size_t{1}, size_t{1000}, size_t{1} << 18, (size_t{3} << 20) + 17}) {
    const std::vector<float> values = counting(n);
    const std::shared_ptr<void> memory = gpu()->allocate(n * sizeof(float));
    gpu()->copy_from_host(memory.get(), values.data(), n * sizeof(float));
    EXPECT_EQ(read(*gpu(), memory.get(), n), values);
    const std::shared_ptr<void> other = gpu()->allocate(n * sizeof(float));
    gpu()->copy_from_device(other.get(), *gpu(), memory.get(), n * sizeof(float));
    EXPECT_EQ(read(*gpu(), other.get(), n), values);
  }
}

TEST_F(GpuDeviceTest, HostMemoryMayBeReusedWhenACopyReturns) {
  const std::shared_ptr<void> memory = gpu()->allocate(8 * sizeof(float));
  float value = 0;
  for (int i = 0; i < 8; ++i, value += 1)
    gpu()->copy_from_host(static_cast<float*>(memory.get()) + i, &value, sizeof value);
  EXPECT_EQ(read(*gpu(), memory.get(), 8), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_F(GpuDeviceTest, TheArenaGrowsInPlaceAndKeepsItsContents) {
  Device::Arena& arena = gpu()->arena();
  arena.grow(1000);
  void* const base = arena.base();
  const std::vector<float> values = counting(250);
  gpu()->copy_from_host(base, values.data(), 1000);
  const size_t before = arena.bytes();
  arena.grow(before + 1);
  arena.grow(before + (size_t{64} << 20));
  EXPECT_EQ(arena.base(), base);
  EXPECT_GE(arena.bytes(), before + (size_t{64} << 20));
  EXPECT_EQ(read(*gpu(), base, 250), values);
  auto* end = static_cast<std::byte*>(base) + arena.bytes() - 1000;
  gpu()->copy_from_host(end, values.data(), 1000);
  EXPECT_EQ(read(*gpu(), end, 250), values);
}

TEST_F(GpuDeviceTest, TheArenaTakesWhatThePoolKeeps) {
  const size_t total = free_bytes(*gpu());
  { const std::shared_ptr<void> memory = gpu()->allocate(total / 10 * 7); }
  gpu()->arena().grow(gpu()->arena().bytes() + total / 10 * 6);
}

TEST_F(GpuDeviceTest, ThreadsReadWhileAnotherSubmits) {
  constexpr size_t kCount = size_t{1} << 20;
  const std::vector<float> values = counting(kCount);
  const std::shared_ptr<void> source = gpu()->allocate(kCount * sizeof(float));
  const std::shared_ptr<void> target = gpu()->allocate(kCount * sizeof(float));
  gpu()->copy_from_host(source.get(), values.data(), kCount * sizeof(float));
  const auto read_often = [&] {
    gpu()->bind_thread();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(read(*gpu(), source.get(), kCount), values);
  };
  std::thread one(read_often), two(read_often);
  for (int i = 0; i < 100; ++i)
    gpu()->copy_from_host(target.get(), values.data(), kCount * sizeof(float));
  one.join();
  two.join();
  EXPECT_EQ(read(*gpu(), target.get(), kCount), values);
}

TEST_F(GpuDeviceTest, AnArenaBeyondTheDeviceIsRefused) {
  try {
    gpu()->arena().grow(size_t{1} << 50);
    FAIL() << "want an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kResourceExhausted);
  }
}

TEST_F(GpuDeviceTest, ARecordingReadsNewContentsAtEachReplay) {
  // v += x, three times by replays: x changes in between.
  GpuKernel add({"AssignAdd", {Tensor::from({1.f, 2.f})}, {}, {Tensor::from({0.f, 0.f})}});
  add.run();
  ASSERT_TRUE(gpu()->begin_recording());
  add.submit();
  const std::unique_ptr<Device::Recording> recording = gpu()->end_recording();
  ASSERT_NE(recording, nullptr);
  EXPECT_TRUE(bitwise_equal(add.results().variables[0], Tensor::from({1.f, 2.f})))
      << "recording runs nothing";
  recording->replay();
  recording->replay();
  gpu()->synchronize();
  EXPECT_TRUE(bitwise_equal(add.results().variables[0], Tensor::from({3.f, 6.f})));
}

TEST_F(GpuDeviceTest, MatMulConvolutionAndSoftmaxCanBeRecorded) {
  const KernelCase cases[] = {
      {"MatMul", {random_numbers(DType::kF32, {32, 784}), random_numbers(DType::kF32, {784, 128})}},
      {"Conv2D",
       {random_numbers(DType::kF32, {4, 14, 14, 8}), random_numbers(DType::kF32, {3, 3, 8, 16})},
       {{"strides", std::vector<int64_t>{1, 1}},
        {"dilation", std::vector<int64_t>{1, 1}},
        {"pads", std::vector<int64_t>{1, 1, 1, 1}},
        {"groups", int64_t{1}}}},
      {"SparseSoftmaxCrossEntropy",
       {random_numbers(DType::kF32, {32, 10}), random_integers({32}, 10)}}};
  for (const KernelCase& test : cases) {
    SCOPED_TRACE(test.op);
    GpuKernel kernel(test);
    const KernelResult want = kernel.run();
    ASSERT_TRUE(gpu()->begin_recording());
    kernel.submit();
    const auto recording = gpu()->end_recording();
    recording->replay();
    gpu()->synchronize();
    EXPECT_TRUE(bitwise_equal(kernel.results().outputs[0], want.outputs[0]));
  }
}

void expect_sums(const std::vector<Device*>& devices) {
  const auto make = default_runtime().communicator_factory(DeviceType::kGPU);
  ASSERT_NE(make, nullptr);
  const auto num_ranks = static_cast<int>(devices.size());
  const auto ranks = make({.devices = devices,
                           .order = distribute::combine_order(std::vector<int>(devices.size(), 1)),
                           .num_replicas = num_ranks});
  const size_t n = 1000;
  std::vector<std::shared_ptr<void>> buckets;
  std::vector<void*> slots;
  for (const auto& rank : ranks) {
    buckets.push_back(rank->allocate_bucket(n * sizeof(float)));
    slots.push_back(buckets.back().get());
  }
  std::vector<std::unique_ptr<Communicator::Request>> requests;
  for (size_t r = 0; r < ranks.size(); ++r)
    requests.push_back(ranks[r]->prepare({.count = static_cast<int64_t>(n), .buffer = &slots[r]}));
  const std::vector<float> values = counting(n);
  std::vector<std::thread> threads;
  for (size_t r = 0; r < ranks.size(); ++r)
    threads.emplace_back([&, r] {
      devices[r]->bind_thread();
      devices[r]->copy_from_host(slots[r], values.data(), n * sizeof(float));
      requests[r]->start();
      requests[r]->wait();
      devices[r]->synchronize();
    });
  for (std::thread& thread : threads) thread.join();
  std::vector<float> want = values;
  for (float& value : want) value *= static_cast<float>(ranks.size());
  for (size_t r = 0; r < ranks.size(); ++r) EXPECT_EQ(read(*devices[r], slots[r], n), want);
}

// One rank only, where there is one card: the identity, through all of NCCL's set-up.
TEST_F(GpuDeviceTest, NcclReducesOverTheCardsOfThisProcess) { expect_sums(cards()); }

TEST_F(GpuDeviceTest, LogicalDevicesOfOneCardReduceByCopies) {
  if (cards().size() > 1) GTEST_SKIP() << "needs 1 card; here: " << cards().size();
  expect_sums(gpus());
}

}  // namespace
}  // namespace cohort::testing
