#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cohort/core/device/device.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/kernel.h"

namespace cohort::testing {

/// A device in host memory that behaves as a GPU does: it records, and its kernels do not throw for
/// bad data but note it, which keeps commits from writing until somebody waits for the device.
class FakeGpu final : public Device {
 public:
  explicit FakeGpu(int index);

  const DeviceName& name() const override { return name_; }
  Arena& arena() override { return cpu_->arena(); }
  std::shared_ptr<void> allocate(size_t bytes) override { return cpu_->allocate(bytes); }
  void copy_from_host(void* to, const void* from, size_t bytes) override;
  void copy_to_host(void* to, const void* from, size_t bytes) override;
  void copy_from_device(void* to, Device& source, const void* from, size_t bytes) override;
  /// Throws what kernels have found since the last call, here or on `peers`.
  void synchronize() override;
  bool begin_recording() override;
  std::unique_ptr<Recording> end_recording() override;
  void bind_thread() override;

  /// Does `work` now, or when the recording under way is replayed.
  void submit(std::function<void()> work);
  /// Where a kernel keeps what it has found; the first counts.
  std::optional<Error>& fault() { return fault_; }

  // What tests set and read.
  std::string recording_fails;  ///< with this message, unless empty
  std::string bind_fails;
  std::vector<FakeGpu*> peers;  ///< whose faults are seen, and cleared, together with ours
  int recordings = 0, replays = 0;
  std::shared_ptr<int> live_recordings = std::make_shared<int>(0);
  bool replaying = false;

 private:
  struct Replay;

  DeviceName name_;
  std::unique_ptr<Device> cpu_;
  std::optional<Error> fault_;
  std::unique_ptr<std::vector<std::function<void()>>> recorded_;  ///< null when it does not record
};

/// Kernels of every CPU op for fake GPUs: they compute what the CPU's compute.
void register_fake_gpu_kernels(KernelRegistry& registry, const std::vector<std::string>& ops);

/// Whether ranks met in collectives as NCCL wants: all from recordings, or none.
class MeetingsOfRanks {
 public:
  /// Rank `rank`'s `request` runs for the next time.
  void note(int rank, int request, bool replayed);
  int num_unlike() const;
  int num_replayed() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<int, int>, int> rounds_;                  // [rank, request]
  std::map<std::pair<int, int>, std::vector<bool>> replayed_;  // [request, round]
};

/// The communicators of `inner` on fake GPUs, whose requests are recorded like kernels. Resetting
/// them is an error of the test while a device has recordings.
std::vector<std::unique_ptr<Communicator>> on_fake_gpus(
    std::vector<std::unique_ptr<Communicator>> inner, std::span<Device* const> devices,
    MeetingsOfRanks& meetings);

}  // namespace cohort::testing
