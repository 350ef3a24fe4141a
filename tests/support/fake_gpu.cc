#include "tests/support/fake_gpu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/cpu_device.h"

namespace cohort::testing {

struct FakeGpu::Replay final : Recording {
  Replay(FakeGpu& device, std::vector<std::function<void()>> work)
      : device(device), live(device.live_recordings), work(std::move(work)) {
    ++*live;
  }
  ~Replay() override { --*live; }
  void replay() override {
    ++device.replays;
    device.replaying = true;
    try {
      for (const auto& each : work) each();
    } catch (...) {
      device.replaying = false;
      throw;
    }
    device.replaying = false;
  }
  FakeGpu& device;
  std::shared_ptr<int> live;
  std::vector<std::function<void()>> work;
};

FakeGpu::FakeGpu(int index) : cpu_(make_cpu_device(index, 1)) {
  name_ = cpu_->name();
  name_.type = DeviceType::kGPU;
}

void FakeGpu::copy_from_host(void* to, const void* from, size_t bytes) {
  cpu_->copy_from_host(to, from, bytes);
}

void FakeGpu::copy_to_host(void* to, const void* from, size_t bytes) {
  synchronize();
  cpu_->copy_to_host(to, from, bytes);
}

void FakeGpu::copy_from_device(void* to, Device&, const void* from, size_t bytes) {
  cpu_->copy_from_host(to, from, bytes);
}

void FakeGpu::synchronize() {
  if (!fault_) return;
  Error found = *std::exchange(fault_, {});
  for (FakeGpu* peer : peers)
    if (const std::optional<Error> theirs = std::exchange(peer->fault_, {}))
      if (found.code() == Code::kCancelled) found = *theirs;
  throw Error(found);
}

bool FakeGpu::begin_recording() {
  recorded_ = std::make_unique<std::vector<std::function<void()>>>();
  ++recordings;
  return true;
}

std::unique_ptr<Device::Recording> FakeGpu::end_recording() {
  const auto work = std::move(recorded_);
  if (!recording_fails.empty()) throw Internal("{}", recording_fails);
  return std::make_unique<Replay>(*this, std::move(*work));
}

void FakeGpu::bind_thread() {
  if (!bind_fails.empty()) throw Internal("{}", bind_fails);
}

void FakeGpu::submit(std::function<void()> work) {
  if (recorded_)
    recorded_->push_back(std::move(work));
  else
    work();
}

namespace {

/// Bad data that it finds becomes the device's fault; what another replica failed at is Cancelled.
class FakeGpuKernel final : public Kernel {
 public:
  FakeGpuKernel(const KernelRequest& request, std::unique_ptr<Kernel> inner)
      : device_(static_cast<FakeGpu&>(request.device)),
        op_(request.node.op_name()),
        commits_(request.node.stage() == Stage::kCommit),
        voters_(request.node.attrs().get_or<int64_t>("voters", 0)),
        inputs_(request.inputs.begin(), request.inputs.end()),
        outputs_(request.outputs.begin(), request.outputs.end()),
        inner_(std::move(inner)) {}

  void run() override {
    device_.submit([this] { run_now(); });
  }
  size_t workspace_bytes() const override { return inner_->workspace_bytes(); }
  bool can_share(int output, int input) const override { return inner_->can_share(output, input); }

 private:
  void run_now() {
    std::optional<Error>& fault = device_.fault();
    if (op_ == "StepVote") {
      *outputs_[0].data<int32_t>() = fault ? 0 : 1;
    } else if (op_ == "StepVeto") {
      if (*inputs_[0].data<int32_t>() != voters_ && !fault) fault = Cancelled("found elsewhere");
    } else if (!commits_ || !fault) {
      try {
        inner_->run();
      } catch (const Error& error) {
        if (!fault) fault = error;
      }
    }
  }

  FakeGpu& device_;
  const std::string op_;
  const bool commits_;
  const int64_t voters_;
  const std::vector<Operand> inputs_, outputs_;
  const std::unique_ptr<Kernel> inner_;
};

std::unique_ptr<Kernel> make_kernel(const KernelRequest& request) {
  static Device& cpu = *make_cpu_device(0, 1).release();
  return std::make_unique<FakeGpuKernel>(request,
                                         request.kernels->make({.node = request.node,
                                                                .inputs = request.inputs,
                                                                .outputs = request.outputs,
                                                                .variables = request.variables,
                                                                .workspace = request.workspace,
                                                                .step = request.step,
                                                                .device = cpu}));
}

class FakeRequest final : public Communicator::Request {
 public:
  FakeRequest(std::unique_ptr<Request> inner, FakeGpu& device, int rank, int number,
              MeetingsOfRanks& meetings)
      : inner_(std::move(inner)),
        device_(device),
        rank_(rank),
        number_(number),
        meetings_(meetings) {}

  void do_start() override {
    device_.submit([this] {
      meetings_.note(rank_, number_, device_.replaying);
      inner_->start();
    });
  }
  void do_wait() override {
    device_.submit([this] { inner_->wait(); });
  }

 private:
  const std::unique_ptr<Request> inner_;
  FakeGpu& device_;
  const int rank_, number_;
  MeetingsOfRanks& meetings_;
};

class FakeCommunicator final : public Communicator {
 public:
  FakeCommunicator(std::unique_ptr<Communicator> inner, FakeGpu& device, MeetingsOfRanks& meetings)
      : inner_(std::move(inner)), device_(device), meetings_(meetings) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override {
    return inner_->allocate_bucket(bytes);
  }
  void abort(const Error& error) override { inner_->abort(error); }
  bool reset() override {
    EXPECT_EQ(*device_.live_recordings, 0) << "a group's end waits for its recordings to go";
    return inner_->reset();
  }

 private:
  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    return std::make_unique<FakeRequest>(inner_->prepare(spec), device_, rank(), num_requests_++,
                                         meetings_);
  }
  std::unique_ptr<Communicator> do_split(std::string_view axis, int color) override {
    return std::make_unique<FakeCommunicator>(inner_->split(axis, color), device_, meetings_);
  }

  const std::unique_ptr<Communicator> inner_;
  FakeGpu& device_;
  MeetingsOfRanks& meetings_;
  int num_requests_ = 0;
};

}  // namespace

void register_fake_gpu_kernels(KernelRegistry& registry, const std::vector<std::string>& ops) {
  for (const std::string& op : ops)
    if (registry.has(op, DeviceType::kCPU)) registry.add(op, DeviceType::kGPU, "fake", make_kernel);
}

void MeetingsOfRanks::note(int rank, int request, bool replayed) {
  const std::lock_guard lock(mutex_);
  replayed_[{request, rounds_[{rank, request}]++}].push_back(replayed);
}

int MeetingsOfRanks::num_unlike() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::count_if(replayed_.begin(), replayed_.end(), [](const auto& meeting) {
        const std::vector<bool>& ranks = meeting.second;
        return std::count(ranks.begin(), ranks.end(), ranks.front()) !=
               static_cast<int64_t>(ranks.size());
      }));
}

int MeetingsOfRanks::num_replayed() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::count_if(replayed_.begin(), replayed_.end(),
                    [](const auto& meeting) { return meeting.second.front(); }));
}

std::vector<std::unique_ptr<Communicator>> on_fake_gpus(
    std::vector<std::unique_ptr<Communicator>> inner, std::span<Device* const> devices,
    MeetingsOfRanks& meetings) {
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (Device* device : devices)
    for (Device* peer : devices)
      if (peer != device)
        static_cast<FakeGpu*>(device)->peers.push_back(static_cast<FakeGpu*>(peer));
  for (size_t r = 0; r < inner.size(); ++r)
    ranks.push_back(std::make_unique<FakeCommunicator>(
        std::move(inner[r]), static_cast<FakeGpu&>(*devices[r]), meetings));
  return ranks;
}

}  // namespace cohort::testing
