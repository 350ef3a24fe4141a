// Executables on a device that is no CPU: where things lie, and who decides on recordings.
#include <gtest/gtest.h>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/register.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/device_thread.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/memory_plan.h"
#include "cohort/core/runtime/runtime.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_gpu.h"

namespace cohort {
namespace {

using testing::FakeGpu;

/// Notes where its operands and its workspace lie.
class PlaceKernel final : public Kernel {
 public:
  PlaceKernel(const KernelRequest& request, size_t bytes)
      : y_(request.outputs[0]), workspace_(request.workspace), bytes_(bytes) {}
  void run() override {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*workspace_) % kWorkspaceAlignment, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*y_.slot) % kOperandAlignment, 0u);
    ++num_runs;
  }
  size_t workspace_bytes() const override { return bytes_; }

  static inline int num_runs = 0;

 private:
  Operand y_;
  void* const* workspace_;
  const size_t bytes_;
};

template <size_t kBytes>
std::unique_ptr<Kernel> make_place_kernel(const KernelRequest& request) {
  return std::make_unique<PlaceKernel>(request, kBytes);
}

class FakeGpuTest : public ::testing::Test {
 protected:
  FakeGpuTest() {
    ops::register_ops(runtime_.ops());
    runtime_.kernels().add("Exp", DeviceType::kGPU, "test", make_place_kernel<65536>);
    runtime_.kernels().add("Tanh", DeviceType::kGPU, "test", make_place_kernel<100>);
    auto device = std::make_unique<FakeGpu>(0);
    gpu_ = device.get();
    runtime_.add_device(std::move(device));
  }

  Runtime runtime_;
  FakeGpu* gpu_ = nullptr;
};

TEST_F(FakeGpuTest, WorkspacesAreAlignedBehindValuesOfAnySize) {
  for (const int64_t size : {1, 16, 17, 101770, 203541}) {
    Graph graph(runtime_.ops());
    const GraphScope scope(graph);
    Value value = graph.placeholder("x", {DType::kF32, Shape{size}});
    for (int i = 0; i < 3; ++i) value = ops::tanh(ops::exp(value));
    const auto executable =
        compile(runtime_, graph, std::vector<Value>{value}, {}, {.device = gpu_});
    const Tensor x(DType::kF32, Shape{size});
    executable->set_input(0, x.raw());
    const int before = PlaceKernel::num_runs;
    executable->run();
    EXPECT_EQ(PlaceKernel::num_runs - before, 6);
  }
}

/// A group of one rank, whose requests do nothing.
class Alone final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::shared_ptr<void> allocate_bucket(size_t) override { return nullptr; }
  void abort(const Error&) override {}

 private:
  class Nothing final : public Request {
    void do_start() override {}
    void do_wait() override {}
  };
  std::unique_ptr<Request> do_prepare(const CollectiveSpec&) override {
    return std::make_unique<Nothing>();
  }
  std::unique_ptr<Communicator> do_split(std::string_view, int) override {
    return std::make_unique<Alone>();
  }
};

TEST_F(FakeGpuTest, AStepWithCollectivesIsRecordedWhenItIsTold) {
  Graph graph(runtime_.ops());
  const GraphScope scope(graph);
  const Value x = graph.placeholder("x", {DType::kF32, Shape{4}});
  const std::vector<Value> fetches{ops::all_reduce(ops::exp(x), ops::ReduceOp::kSum)};
  CollectivePlan plan;
  const GraphFunction planned = plan_collectives(graph, fetches, 1, plan);
  const auto memory = gpu_->allocate(plan.buckets[0].num_bytes());
  plan.buckets[0].data = memory.get();
  Alone alone;
  plan.buckets[0].request =
      alone.prepare({.count = plan.buckets[0].num_elements, .buffer = &plan.buckets[0].data});
  const auto executable = compile(runtime_, *planned.graph, planned.fetches, {},
                                  {.device = gpu_, .collectives = &plan});
  const Tensor input(DType::kF32, Shape{4});
  executable->set_input(0, input.raw());
  for (int i = 0; i < 3; ++i) executable->run();
  EXPECT_EQ(gpu_->recordings, 0);
  EXPECT_FALSE(executable->is_recorded());
  EXPECT_TRUE(executable->record().recorded);
  EXPECT_TRUE(executable->is_recorded());
  executable->run();
  EXPECT_EQ(gpu_->replays, 0);
  executable->set_replay(true);
  executable->run();
  EXPECT_EQ(gpu_->replays, 1);
  executable->drop_recording();
  executable->run();
  EXPECT_EQ(gpu_->replays, 1);
  EXPECT_EQ(*gpu_->live_recordings, 0);
  gpu_->recording_fails = "no room";
  const RecordingOutcome outcome = executable->record();
  EXPECT_FALSE(outcome.recorded);
  EXPECT_NE(outcome.reason.find("no room"), std::string::npos) << outcome.reason;
}

TEST_F(FakeGpuTest, AThreadThatCannotBeBoundIsAnError) {
  gpu_->bind_fails = "no such device";
  testing::expect_error(Code::kInternal, {"no such device"}, [&] { DeviceThread thread(*gpu_); });
}

std::vector<std::unique_ptr<Device>> make_fake_gpus(std::span<Device* const>, int count, int64_t) {
  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < count; ++i) devices.push_back(std::make_unique<FakeGpu>(i));
  return devices;
}

TEST(LogicalGpuDevicesTest, TakeThePlaceOfGpusThatNobodyUses) {
  Runtime runtime;
  const auto set = [&](int count, int64_t limit = 0) {
    runtime.set_logical_gpu_devices(count, limit);
  };
  testing::expect_error(Code::kFailedPrecondition, {"set_logical_gpu_devices", "without a GPU"},
                        [&] { set(2); });
  runtime.set_logical_gpu_factory(make_fake_gpus);
  runtime.add_device(make_cpu_device(0, 1));
  runtime.add_device(std::make_unique<FakeGpu>(0));
  testing::expect_invalid({"got 0 devices"}, [&] { set(0); });
  testing::expect_invalid({"of -1 MiB"}, [&] { set(2, -1); });
  set(4, 100);
  EXPECT_EQ(runtime.devices(DeviceType::kGPU).size(), 4u);
  EXPECT_EQ(runtime.devices(DeviceType::kCPU).size(), 1u);
  runtime.note_use(DeviceType::kCPU);
  set(2, 100);
  runtime.note_use(DeviceType::kGPU);
  set(2, 100);  // as it is
  for (const int64_t limit : {0, 200})
    testing::expect_error(Code::kFailedPrecondition, {"after a GPU device was used"},
                          [&] { set(2, limit); });
  EXPECT_EQ(runtime.devices(DeviceType::kGPU).size(), 2u);
}

}  // namespace
}  // namespace cohort
