#include "cohort/core/device.h"

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/constant.h"
#include "tests/ops/op_test.h"

namespace cohort {
namespace {

using testing::expect_invalid;

// The cases of TensorFlow's device_util_test.py: what canonicalize() gives with and without a
// default.
TEST(DeviceNameTest, CanonicalNamesAreComplete) {
  EXPECT_EQ(canonical_device_name("/cpu:0"), "/replica:0/task:0/device:CPU:0");
  EXPECT_EQ(canonical_device_name("/job:worker/cpu:0"),
            "/job:worker/replica:0/task:0/device:CPU:0");
  EXPECT_EQ(canonical_device_name("/job:worker/task:1/cpu:0"),
            "/job:worker/replica:0/task:1/device:CPU:0");
}

TEST(DeviceNameTest, CanonicalNamesTakeWhatTheyLackFromADefault) {
  EXPECT_EQ(canonical_device_name("/job:worker/task:1", "/gpu:0"),
            "/job:worker/replica:0/task:1/device:GPU:0");
  EXPECT_EQ(canonical_device_name("/cpu:0", "/job:worker"),
            "/job:worker/replica:0/task:0/device:CPU:0");
  EXPECT_EQ(canonical_device_name("/gpu:2", "/job:worker/task:3/cpu:5"),
            "/job:worker/replica:0/task:3/device:GPU:2");
  EXPECT_EQ(canonical_device_name("/cpu:0", "/job:localhost/replica:0/task:0"),
            "/job:localhost/replica:0/task:0/device:CPU:0");
}

TEST(DeviceNameTest, ShortLongAndPartialFormsMeanTheSame) {
  EXPECT_EQ(DeviceName::parse("/gpu:1"), DeviceName::parse("/device:GPU:1"));
  EXPECT_EQ(DeviceName::parse("gpu:1"), DeviceName::parse("/device:gpu:1"));
  EXPECT_EQ(DeviceName::parse("/device:GPU:*").index, std::nullopt);
  EXPECT_EQ(DeviceName::parse("/job:worker").to_string(), "/job:worker");
  EXPECT_EQ(DeviceName::parse("").to_string(), "");
  const std::string full = "/job:worker/replica:2/task:1/device:GPU:3";
  EXPECT_EQ(DeviceName::parse(full).to_string(), full);
}

TEST(DeviceNameTest, MatchesThePatternsFieldsOnly) {
  const DeviceName name = DeviceName::parse("/job:worker/task:1/gpu:0");
  EXPECT_TRUE(name.matches(DeviceName::parse("/task:1")));
  EXPECT_TRUE(name.matches(DeviceName::parse("/device:GPU:*")));
  EXPECT_TRUE(name.matches(DeviceName()));
  EXPECT_FALSE(name.matches(DeviceName::parse("/gpu:1")));
  EXPECT_FALSE(name.matches(DeviceName::parse("/replica:0")));
}

TEST(DeviceNameTest, AnotherTypeDoesNotTakeTheDefaultsIndex) {
  const DeviceName merged =
      DeviceName::parse("/device:GPU:*").merged_with(DeviceName::parse("/cpu:3"));
  EXPECT_EQ(merged.type, DeviceType::kGPU);
  EXPECT_EQ(merged.index, std::nullopt);
}

TEST(DeviceNameTest, SaysWhichPartIsWrong) {
  expect_invalid({"\"tpu:0\"", "/gpu:I"}, [] { DeviceName::parse("/tpu:0"); });
  expect_invalid({"\"TPU\"", "want CPU or GPU"}, [] { DeviceName::parse("/device:TPU:0"); });
  expect_invalid({"/gpu:x"}, [] { DeviceName::parse("/gpu:x"); });
  expect_invalid({"/gpu:-1"}, [] { DeviceName::parse("/gpu:-1"); });
  expect_invalid({"/task:1z"}, [] { DeviceName::parse("/task:1z"); });
  expect_invalid({"job"}, [] { DeviceName::parse("/job:"); });
  expect_invalid({"nonsense"}, [] { DeviceName::parse("nonsense"); });
}

class DeviceScopeTest : public testing::OpTest {};

TEST_F(DeviceScopeTest, InnerDeviceWinsAndJobMerges) {
  DeviceScope outer("/job:worker");
  EXPECT_EQ(input({}).node()->device().to_string(), "/job:worker");
  {
    DeviceScope inner("/cpu:0");
    EXPECT_EQ(input({}).node()->device().to_string(), "/job:worker/device:CPU:0");
    DeviceScope innermost("/gpu:1");
    EXPECT_EQ(input({}).node()->device().to_string(), "/job:worker/device:GPU:1");
  }
  EXPECT_EQ(current_device_scope().to_string(), "/job:worker");
  expect_invalid({"nonsense"}, [] { DeviceScope scope("nonsense"); });
}

}  // namespace
}  // namespace cohort
