// Steps on a device that records, and what happens where a step cannot be recorded.
#include <gtest/gtest.h>

#include "cohort/core/graph/scope.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/register.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/runtime.h"

namespace cohort {
namespace {

/// What a test sees of the device: which part of a recording fails, and what has run.
struct Log {
  enum class Failure { kNone, kBegin, kKernel, kEnd, kKernelAndEnd };
  Failure failure = Failure::kNone;
  bool recording = false;
  int runs = 0, tries = 0, replays = 0;
};

/// Host memory under a GPU's name, which records.
class RecordingDevice : public Device {
 public:
  explicit RecordingDevice(Log& log) : log_(log), cpu_(make_cpu_device(0, 1)) {
    name_ = cpu_->name();
    name_.type = DeviceType::kGPU;
  }
  const DeviceName& name() const override { return name_; }
  Arena& arena() override { return cpu_->arena(); }
  std::shared_ptr<void> allocate(size_t bytes) override { return cpu_->allocate(bytes); }
  void copy_from_host(void* to, const void* from, size_t bytes) override {
    cpu_->copy_from_host(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, size_t bytes) override {
    cpu_->copy_to_host(to, from, bytes);
  }
  void copy_from_device(void* to, Device& source, const void* from, size_t bytes) override {
    cpu_->copy_from_device(to, source, from, bytes);
  }
  void synchronize() override {}

  bool begin_recording() override {
    ++log_.tries;
    if (log_.failure == Log::Failure::kBegin) throw Internal("begin: no recording here");
    return log_.recording = true;
  }
  std::unique_ptr<Recording> end_recording() override {
    log_.recording = false;
    if (log_.failure == Log::Failure::kEnd || log_.failure == Log::Failure::kKernelAndEnd)
      throw Internal("end: the recording is void");
    return std::make_unique<Replay>(log_);
  }

  Log& log() { return log_; }

 private:
  struct Replay : Recording {
    explicit Replay(Log& log) : log(log) {}
    void replay() override { ++log.replays; }
    Log& log;
  };

  Log& log_;
  std::unique_ptr<Device> cpu_;
  DeviceName name_;
};

class CountingKernel : public Kernel {
 public:
  explicit CountingKernel(const KernelRequest& request)
      : log_(dynamic_cast<RecordingDevice&>(request.device).log()) {}
  void run() override {
    const bool fails =
        log_.failure == Log::Failure::kKernel || log_.failure == Log::Failure::kKernelAndEnd;
    if (log_.recording && fails) throw Internal("kernel: waits for the host");
    if (!log_.recording) ++log_.runs;
  }

 private:
  Log& log_;
};

class RecordingTest : public ::testing::Test {
 protected:
  RecordingTest() {
    ops::register_ops(runtime_.ops());
    runtime_.kernels().add("Exp", DeviceType::kGPU, "test", [](const KernelRequest& request) {
      return std::unique_ptr<Kernel>(std::make_unique<CountingKernel>(request));
    });
    auto device = std::make_unique<RecordingDevice>(log_);
    device_ = device.get();
    runtime_.add_device(std::move(device));
  }

  /// Runs four steps; returns what is said on standard error.
  std::string run_four_steps(Log::Failure failure) {
    log_.failure = failure;
    Graph graph(runtime_.ops());
    const GraphScope scope(graph);
    const std::vector<Value> fetches{ops::exp(graph.placeholder("x", {DType::kF32, Shape{4}}))};
    const auto executable = compile(runtime_, graph, fetches, {}, {.device = device_});
    const Tensor x(DType::kF32, {4});
    executable->set_input(0, x.raw());
    ::testing::internal::CaptureStderr();
    for (int i = 0; i < 4; ++i) executable->run();
    return ::testing::internal::GetCapturedStderr();
  }

  Log log_;
  Runtime runtime_;
  Device* device_ = nullptr;
};

TEST_F(RecordingTest, AStepIsRecordedOnceAndReplayed) {
  EXPECT_EQ(run_four_steps(Log::Failure::kNone), "");
  EXPECT_EQ(log_.runs, 1);
  EXPECT_EQ(log_.tries, 1);
  EXPECT_EQ(log_.replays, 3);
}

TEST_F(RecordingTest, AStepThatCannotBeRecordedRunsKernelByKernelAndSaysSoOnce) {
  for (const auto failure : {Log::Failure::kBegin, Log::Failure::kKernel, Log::Failure::kEnd}) {
    log_ = {};
    const std::string said = run_four_steps(failure);
    EXPECT_EQ(log_.runs, 4);
    EXPECT_EQ(log_.tries, 1);
    EXPECT_EQ(log_.replays, 0);
    const size_t at = said.find("cannot be recorded");
    EXPECT_NE(at, std::string::npos);
    EXPECT_EQ(said.find("cannot be recorded", at + 1), std::string::npos);
  }
}

TEST_F(RecordingTest, TheFirstErrorIsTheOneThatIsNamed) {
  const std::string said = run_four_steps(Log::Failure::kKernelAndEnd);
  EXPECT_NE(said.find("waits for the host"), std::string::npos);
  EXPECT_EQ(said.find("is void"), std::string::npos);
}

}  // namespace
}  // namespace cohort
