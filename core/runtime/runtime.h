#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/op.h"
#include "cohort/core/runtime/job_group.h"
#include "cohort/core/runtime/kernel.h"
#include "cohort/core/trace/metrics.h"

namespace cohort {

class Communicator;
class TraceRecorder;

/// The registries and devices of a program. Filled by cohort/builtin.cc; a program may add its own
/// ops and kernels before it builds graphs. Registration is not synchronised with use; everything
/// else is.
class Runtime {
 public:
  Runtime();
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  OpRegistry& ops() { return ops_; }
  KernelRegistry& kernels() { return kernels_; }

  void add_device(std::unique_ptr<Device> device);
  /// Replaces the CPU devices by `count` logical ones of `threads_each` threads (0: cores / count,
  /// at least 1). FailedPrecondition when a CPU device is in use already (a variable or executable
  /// lives on it).
  void set_logical_cpu_devices(int count, int threads_each = 0);
  /// Replaces the first GPU by `count` logical ones on its card, gpu:0 … gpu:count-1, each with
  /// streams and an arena of its own; the GPUs of further cards follow. As TensorFlow's
  /// set_logical_device_configuration. `memory_limit_mib`: what each may take of the card, in MiB
  /// (TensorFlow's memory_limit), without what CUDA and its libraries need; 0: what is free.
  /// FailedPrecondition without a GPU, and when one is in use already; InvalidArgument for limits
  /// that together exceed the card. On an error nothing has changed.
  void set_logical_gpu_devices(int count, int64_t memory_limit_mib = 0);
  /// How a back end makes them: all devices that take the place of `present`.
  using LogicalDeviceFactory = std::vector<std::unique_ptr<Device>> (*)(
      std::span<Device* const> present, int count, int64_t memory_limit_mib);
  void set_logical_gpu_factory(LogicalDeviceFactory make) { make_logical_gpus_ = make; }
  /// Called when a strategy or an executable takes a device of this type into use.
  void note_use(DeviceType type) { in_use_[static_cast<size_t>(type)] = true; }
  bool in_use(DeviceType type) const { return in_use_[static_cast<size_t>(type)]; }
  std::vector<Device*> devices() const;
  std::vector<Device*> devices(DeviceType type) const;
  /// The device that a name (full, or partial such as "gpu:1") denotes. Throws InvalidArgument that
  /// lists what is there.
  Device& device(std::string_view name) const;
  /// The first GPU, or else cpu:0.
  Device& default_device() const;

  /// Makes communicators of one group of devices of one type, in one process: the i-th has rank i
  /// and belongs to the thread that runs the i-th device.
  using CommunicatorFactory =
      std::vector<std::unique_ptr<Communicator>> (*)(const LocalGroup& group);
  /// What a back end has for its own devices (NCCL for GPUs); one for each type.
  void set_communicator_factory(DeviceType type, CommunicatorFactory make);
  /// The same for devices in several processes.
  void set_job_communicators(DeviceType type, JobCommunicators make);
  /// Null where there is none: what joins CPU devices serves then.
  const JobCommunicators* job_communicators(DeviceType type) const;
  /// Null where there is none: the in-process communicator serves then.
  CommunicatorFactory communicator_factory(DeviceType type) const;

  /// Steps that run from now on note when each of their nodes runs; null: none do. Returns when no
  /// step uses the recorder before.
  void record_to(TraceRecorder* recorder);
  TraceRecorder* recorder() const { return recorder_; }

  /// What this program tells whoever watches it.
  MetricRegistry& metrics() { return metrics_; }
  /// Keeps `owned` until the runtime ends, and lets it go before anything else. Registration, too.
  void keep(std::shared_ptr<void> owned);

  /// Functions are traced, and layers built, by one thread at a time: the one that has locked this.
  /// It may wait for a device's turn; who has one must not wait for this.
  std::recursive_mutex& tracing() { return tracing_; }

  /// Notes that this process is one of a job, for as long as `job` lives; `*job` is the strategy's
  /// name.
  void note_job(const std::shared_ptr<const std::string>& job);
  /// The latest such; null when none lives.
  std::shared_ptr<const std::string> job() const;

  /// The seed of every random op and initialiser that has none of its own.
  void set_random_seed(uint64_t seed) { seed_ = seed; }
  uint64_t random_seed() const { return seed_; }

 private:
  void check_unused(std::string_view what, DeviceType type) const;
  /// What joins devices of a type.
  struct BackEnd {
    DeviceType type;
    CommunicatorFactory communicators = nullptr;
    JobCommunicators job_communicators = {};
  };
  const BackEnd* find_back_end(DeviceType type) const;
  BackEnd& back_end(DeviceType type);

  OpRegistry ops_;
  KernelRegistry kernels_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<std::unique_ptr<BackEnd>> back_ends_;  // one for each type at most
  std::atomic<TraceRecorder*> recorder_ = nullptr;
  std::atomic<uint64_t> seed_ = 0;
  std::array<std::atomic<bool>, 2> in_use_{};  // by DeviceType
  LogicalDeviceFactory make_logical_gpus_ = nullptr;
  std::pair<int, int64_t> logical_gpus_{1, 0};  // number and memory limit
  std::recursive_mutex tracing_;
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<const std::string>> jobs_;  // guarded by mutex_
  MetricRegistry metrics_;
  std::vector<std::shared_ptr<void>> kept_;  // last: may use the others
};

/// The runtime of this program, made on first use with everything that is built in
/// (cohort/builtin.cc). It is there until the process has ended.
Runtime& default_runtime();

}  // namespace cohort
