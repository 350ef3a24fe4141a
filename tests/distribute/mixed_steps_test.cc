// Steps of two replicas that each use two devices: what fails on one of them keeps all variables of
// both replicas as they were.
#include <gtest/gtest.h>

#include <thread>

#include "cohort/core/graph/scope.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/register.h"
#include "cohort/core/ops/softmax.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/program.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/step_devices.h"
#include "cohort/distribute/in_process_communicator.h"
#include "cohort/kernels/cpu/register.h"
#include "tests/support/expect_error.h"
#include "tests/support/fake_gpu.h"

namespace cohort::distribute {
namespace {

using testing::FakeGpu;

/// Where a replica computes its loss, which can fail, and where the other part of its step runs.
struct Places {
  bool loss_on_gpu;
  bool rest_on_gpu;
};

/// A replica in a process of its own, played by a runtime of its own.
struct Replica {
  Replica(Communicator* given, FakeGpu* gpu, Runtime& runtime, Places places)
      : runtime(runtime), communicator(given) {
    Trace trace{.graph = std::make_shared<Graph>(runtime.ops()), .outputs = {}};
    here = variable("here");
    there = variable("there");
    {
      const GraphScope scope(*trace.graph);
      const Value x = trace.graph->placeholder("x", {DType::kF32, Shape{4, 3}});
      const Value labels = trace.graph->placeholder("labels", {DType::kI64, Shape{4}});
      const Value sum = ops::all_reduce(ops::reduce_sum(x), ops::ReduceOp::kSum);
      ops::assign_add(here, sum);
      const DeviceScope device(places.loss_on_gpu ? "gpu:0" : "cpu:0");
      const Value loss = ops::reduce_sum(ops::sparse_softmax_cross_entropy(x, labels));
      ops::assign_add(there, ops::identity(ops::scalar(1.0, DType::kF32)));
      trace.outputs = {loss};
    }
    Device& main = places.rest_on_gpu ? static_cast<Device&>(*gpu) : runtime.device("cpu:0");
    devices.add(runtime, *trace.graph, main);
    const DeviceTurn turn = devices.take();
    program = std::make_unique<Program>(
        runtime, trace,
        ProgramOptions{.device = &main, .communicator = communicator, .num_replicas = 2});
    executable = &program->whole({});
  }

  static std::shared_ptr<VariableState> variable(const char* name) {
    return std::make_shared<VariableState>(Tensor::scalar(0.f), VariableOptions{.name = name});
  }

  /// As the runner of a job does: who fails tells the others.
  void run(bool fails) {
    error.reset();
    try {
      const DeviceTurn turn = devices.take();
      const Tensor x = Tensor::full(DType::kF32, Shape{4, 3}, 1);
      Tensor labels(DType::kI64, Shape{4});
      if (fails) labels.data<int64_t>()[2] = 99;
      executable->set_input(0, x.raw());
      executable->set_input(1, labels.raw());
      executable->step() = {.num_replicas = 2};
      executable->run();
      for (Device* device : runtime.devices()) device->synchronize();
    } catch (const Error& thrown) {
      error = thrown;
      communicator->abort(Cancelled("another replica failed"));
    }
  }

  Runtime& runtime;
  Communicator* communicator;
  std::shared_ptr<VariableState> here, there;
  StepDevices devices;
  std::unique_ptr<Program> program;
  Executable* executable = nullptr;
  std::optional<Error> error;
};

class MixedStepsConcurrentTest : public ::testing::TestWithParam<Places> {
 protected:
  MixedStepsConcurrentTest() {
    for (Runtime& runtime : runtimes_) {
      ops::register_ops(runtime.ops());
      cpu::register_cpu_kernels(runtime.kernels());
      testing::register_fake_gpu_kernels(runtime.kernels(), runtime.ops().names());
      runtime.add_device(make_cpu_device(0, 1));
      auto device = std::make_unique<FakeGpu>(0);
      gpus_.push_back(device.get());
      runtime.add_device(std::move(device));
    }
    ranks_ = make_in_process_communicators({.block_sizes = {1, 1}});
    if (GetParam().rest_on_gpu) {
      const std::vector<Device*> devices(gpus_.begin(), gpus_.end());
      ranks_ = testing::on_fake_gpus(std::move(ranks_), devices, meetings_);
      for (FakeGpu* gpu : gpus_) gpu->peers.clear();  // of another process
    }
    on_both([this](size_t r) {
      replicas_[r] = std::make_unique<Replica>(ranks_[r].get(), gpus_[r], runtimes_[r], GetParam());
    });
  }
  static void on_both(const std::function<void(size_t)>& body) {
    std::thread other([&] { body(1); });
    body(0);
    other.join();
  }
  void run(int fails = -1) {
    on_both([&](size_t r) { replicas_[r]->run(static_cast<int>(r) == fails); });
  }
  void expect_steps(float steps) {
    for (const auto& replica : replicas_) EXPECT_EQ(replica->there->value().item<float>(), steps);
    for (const auto& replica : replicas_)
      EXPECT_EQ(replica->here->value().item<float>(), 24 * steps);
  }

  std::array<Runtime, 2> runtimes_;
  std::vector<FakeGpu*> gpus_;
  testing::MeetingsOfRanks meetings_;
  std::vector<std::unique_ptr<Communicator>> ranks_;
  std::array<std::unique_ptr<Replica>, 2> replicas_;
};

TEST_P(MixedStepsConcurrentTest, AStepIsTakenByAllDevicesOfAllReplicasOrByNone) {
  run();
  run();
  expect_steps(2);
  for (const int fails : {0, 1}) {
    run(fails);
    ASSERT_TRUE(replicas_[static_cast<size_t>(fails)]->error);
    EXPECT_EQ(replicas_[static_cast<size_t>(fails)]->error->code(), Code::kInvalidArgument);
    ASSERT_TRUE(replicas_[static_cast<size_t>(1 - fails)]->error);
    EXPECT_EQ(replicas_[static_cast<size_t>(1 - fails)]->error->code(), Code::kCancelled);
    expect_steps(2);
    ASSERT_TRUE(ranks_[0]->reset());
  }
  run();
  expect_steps(3);
}

INSTANTIATE_TEST_SUITE_P(Of, MixedStepsConcurrentTest,
                         ::testing::Values(Places{.loss_on_gpu = false, .rest_on_gpu = true},
                                           Places{.loss_on_gpu = true, .rest_on_gpu = false}));

}  // namespace
}  // namespace cohort::distribute
