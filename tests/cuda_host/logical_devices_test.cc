#include "cohort/kernels/cuda/logical_devices.h"

#include <gtest/gtest.h>

#include "cohort/core/runtime/runtime.h"
#include "cohort/kernels/cuda/device.h"
#include "tests/cuda_host/fake_cuda.h"
#include "tests/support/expect_error.h"

namespace cohort::cuda {
namespace {

using testing::expect_error;
using testing::fake_cuda;

constexpr size_t kMebibyte = size_t{1} << 20;

/// A program on machines of one card and of two.
class LogicalGpuTest : public ::testing::Test {
 protected:
  LogicalGpuTest() {
    testing::reset_fake_cuda();
    fake_cuda().devices.resize(2);
    for (auto& card : fake_cuda().devices) card.total_bytes = 32 * kMebibyte;
    runtime_.set_logical_gpu_factory(make_logical_devices);
    add_card(0);
  }
  void add_card(int ordinal) { runtime_.add_device(std::make_unique<CudaDevice>(ordinal)); }
  std::vector<CudaDevice*> gpus() const {
    std::vector<CudaDevice*> list;
    for (Device* device : runtime_.devices(DeviceType::kGPU))
      list.push_back(static_cast<CudaDevice*>(device));
    return list;
  }

  Runtime runtime_;
};

TEST_F(LogicalGpuTest, TheFirstCardIsDividedAndOthersFollow) {
  add_card(1);
  runtime_.set_logical_gpu_devices(3);
  ASSERT_EQ(gpus().size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(&runtime_.device("gpu:" + std::to_string(i)), gpus()[static_cast<size_t>(i)]);
    EXPECT_EQ(gpus()[static_cast<size_t>(i)]->ordinal(), i == 3 ? 1 : 0);
  }
  EXPECT_TRUE(fake_cuda().contexts.empty());
  runtime_.set_logical_gpu_devices(1);
  EXPECT_EQ(gpus().size(), 2u);
}

TEST_F(LogicalGpuTest, EachHasStreamsOfItsOwn) {
  runtime_.set_logical_gpu_devices(2);
  EXPECT_NE(gpus()[0]->compute_stream(), gpus()[1]->compute_stream());
  EXPECT_NE(gpus()[0]->arena().base(), gpus()[1]->arena().base());
}

TEST_F(LogicalGpuTest, ALimitIsOfEachDevice) {
  runtime_.set_logical_gpu_devices(2, 10);
  const auto taken = gpus()[0]->allocate(5 * kMebibyte);
  const auto others = gpus()[1]->allocate(5 * kMebibyte);
  expect_error(Code::kResourceExhausted, {"gpu:0", "of its limit of 10485760"},
               [&] { (void)gpus()[0]->allocate(6 * kMebibyte); });
  gpus()[1]->arena().grow(4 * kMebibyte);
  expect_error(Code::kResourceExhausted, {"arena: gpu:1", "of its limit of 10485760"},
               [&] { gpus()[1]->arena().grow(8 * kMebibyte); });
  EXPECT_EQ(gpus()[1]->arena().bytes(), 4 * kMebibyte);
}

TEST_F(LogicalGpuTest, WhatIsFreedCountsNoMore) {
  runtime_.set_logical_gpu_devices(1, 10);
  for (int i = 0; i < 5; ++i) (void)gpus()[0]->allocate(9 * kMebibyte);
}

TEST_F(LogicalGpuTest, WithoutALimitAllShareTheCard) {
  runtime_.set_logical_gpu_devices(2);
  { const auto memory = gpus()[0]->allocate(25 * kMebibyte); }
  const auto memory = gpus()[1]->allocate(25 * kMebibyte);
  expect_error(Code::kResourceExhausted, {"gpu:0"},
               [&] { (void)gpus()[0]->allocate(12 * kMebibyte); });
}

TEST_F(LogicalGpuTest, LimitsBeyondTheCardAreRefused) {
  expect_error(Code::kInvalidArgument, {"2 devices of 17 MiB on a card of 32 MiB", "Fake H100"},
               [&] { runtime_.set_logical_gpu_devices(2, 17); });
  EXPECT_EQ(gpus().size(), 1u);
  expect_error(Code::kInvalidArgument, {"MiB"},
               [&] { runtime_.set_logical_gpu_devices(1, INT64_MAX); });
}

TEST_F(LogicalGpuTest, ADeviceInUseIsNotReplaced) {
  runtime_.set_logical_gpu_devices(2);
  const auto memory = gpus()[1]->allocate(1);
  runtime_.set_logical_gpu_devices(2);  // as it is
  expect_error(Code::kFailedPrecondition, {"set_logical_gpu_devices", "GPU:1 was used"},
               [&] { runtime_.set_logical_gpu_devices(3); });
  EXPECT_EQ(gpus().size(), 2u);
}

}  // namespace
}  // namespace cohort::cuda
