// Steps that ask for devices by name (DeviceScope).
#include <gtest/gtest.h>

#include <cmath>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/matmul.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/runtime/program.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/distribute/in_process_communicator.h"
#include "cohort/distribute/mirrored_strategy.h"
#include "tests/support/expect_error.h"

namespace cohort::distribute {
namespace {

using cohort::testing::expect_error;

class DeviceRequestsConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  /// Much arithmetic on `device`: replicas that shared its arena would spoil each other's.
  static Function step_on(const std::string& device) {
    return function([device](Value x) {
      const DeviceScope scope(device);
      Value y = x;
      for (int i = 0; i < 10; ++i) y = ops::tanh(ops::matmul(y, y));
      return ops::reduce_sum(y);
    });
  }
  static std::vector<PerReplica> run(const Strategy& strategy, const std::string& device) {
    std::vector<Tensor> values;
    for (int r = 0; r < strategy.num_replicas_in_sync(); ++r)
      values.push_back(Tensor::full(DType::kF32, Shape{64, 64}, 0.01 * (r + 1)));
    return strategy.run(step_on(device), {PerReplica(values)});
  }
};

TEST_F(DeviceRequestsConcurrentTest, ReplicasOnSeveralDevicesDoNotMeetOnOne) {
  const Strategy two = MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
  for (const char* device : {"cpu:0", "cpu:1", "cpu:2"})
    expect_error(Code::kUnimplemented, {"MatMul", device + 3, "2 devices", "\"cpu\""},
                 [&] { run(two, device); });
}

TEST_F(DeviceRequestsConcurrentTest, ANameThatFitsAllIsEachReplicasOwnDevice) {
  const Strategy two = MirroredStrategy({.devices = {"cpu:1", "cpu:2"}});
  const std::vector<PerReplica> want = run(two, "");
  for (int i = 0; i < 20; ++i) {
    const std::vector<PerReplica> got = run(two, "cpu");
    EXPECT_TRUE(bitwise_equal(got[0][0], want[0][0]));
    EXPECT_TRUE(bitwise_equal(got[0][1], want[0][1]));
  }
}

TEST_F(DeviceRequestsConcurrentTest, OneDevicesReplicasMayUseAnother) {
  for (const int replicas : {1, 2}) {
    const Strategy one = MirroredStrategy({.devices = {"cpu:1"}, .num_replicas = replicas});
    const std::vector<PerReplica> want = run(one, ""), got = run(one, "cpu:3");
    for (int r = 0; r < replicas; ++r) EXPECT_TRUE(bitwise_equal(got[0][r], want[0][r]));
  }
}

// As in a job whose processes have one replica each.
TEST_F(DeviceRequestsConcurrentTest, AReductionTakesWhatAnotherDeviceMade) {
  const Trace made = trace(
      [](std::span<const Value> in) {
        const DeviceScope scope("cpu:3");
        return std::vector<Value>{ops::all_reduce(ops::exp(in[0]), ReduceOp::kSum)};
      },
      {{DType::kF32, Shape{2}}}, "step");
  const auto communicators = make_in_process_communicators({.block_sizes = {1}});
  Program program(
      default_runtime(), made,
      {.device = &default_runtime().device("cpu:0"), .communicator = communicators[0].get()});
  Executable& executable = program.whole({});
  const Tensor x = Tensor::from({0.f, 1.f});
  executable.set_input(0, x.raw());
  executable.run();
  EXPECT_FLOAT_EQ(executable.output(0).values<float>()[0], 1);
  EXPECT_FLOAT_EQ(executable.output(0).values<float>()[1], std::exp(1.f));
}

}  // namespace
}  // namespace cohort::distribute
