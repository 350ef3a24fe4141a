#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/program.h"
#include "cohort/data/element.h"
#include "cohort/distribute/strategy.h"

namespace cohort::distribute {

/// What one logical replica is fed in one step.
struct ReplicaFeed {
  std::vector<const void*> inputs;  ///< where each component's rows begin
  std::vector<int64_t> symbols;     ///< number of each symbol, in ReplicaDevice::symbols order
  StepState step;
};

/// Those of the replicas that one device carries, in order.
class DeviceFeeds {
 public:
  /// Of `all`: `count`, `stride` apart.
  DeviceFeeds(std::span<const ReplicaFeed> all, size_t first, size_t stride, size_t count)
      : all_(all), first_(first), stride_(stride), count_(count) {}
  size_t size() const { return count_; }
  const ReplicaFeed& operator[](size_t i) const { return all_[first_ + i * stride_]; }
  const ReplicaFeed& front() const { return (*this)[0]; }

 private:
  std::span<const ReplicaFeed> all_;
  size_t first_, stride_, count_;
};

/// One device and the logical replicas that it carries: runs their part of a step.
class ReplicaDevice {
 public:
  /// `communicator` is null when this is the only device. Collective when it is not. `turns`: of
  /// replicas, when this or another device of the group carries several. `all_replicas`: of all
  /// devices.
  ReplicaDevice(Runtime& runtime, const Trace& trace, Device& device, Communicator* communicator,
                int num_replicas, int all_replicas, Turns turns, size_t bucket_bytes,
                DType gradient_dtype);

  int num_replicas() const { return num_replicas_; }
  Device& device() { return program_.device(); }
  /// Time spent in waits for the other devices.
  std::chrono::nanoseconds waited() { return program_.collectives().waited(); }
  /// Memory that it holds, about.
  size_t num_bytes() { return program_.num_bytes(); }
  /// Of one step.
  size_t num_collectives() const { return program_.num_collectives(); }
  GroupMemory memory() const { return program_.memory(); }
  /// The symbols of the trace's inputs, in order of appearance; their numbers choose the
  /// executable.
  static std::vector<std::string> symbols(const Graph& graph);

  /// Compiles what `feeds` (one for each replica carried) need; returns whether there was anything
  /// to do. To be called by the thread that owns the variables, before run.
  bool prepare(const DeviceFeeds& feeds);
  /// Runs the step for all replicas carried; called by the device's thread. Throws; nothing is
  /// committed then.
  void run(const DeviceFeeds& feeds);
  // A step with collectives is recorded and replayed by all ranks together (Executable); not where
  // replicas take turns. To be called after prepare() for these feeds.
  RecordingOutcome record(const DeviceFeeds& feeds);
  bool is_recorded(const DeviceFeeds& feeds);
  void set_replay(const DeviceFeeds& feeds, bool replay);
  void drop_recordings() { program_.drop_recordings(); }
  /// Output i of carried replica `replica` in the last run, copied out.
  Tensor output(int replica, int i);

 private:
  struct Prepared {
    std::vector<int64_t> symbols;
    Executable* executable;
  };

  Executable& executable_for(const ReplicaFeed& feed);
  void check_alternate(const Executable& executable);

  const int num_replicas_;
  std::vector<std::string> symbols_;
  std::unique_ptr<Communicator> solo_;  ///< where replicas share the only device
  Program program_;
  std::vector<Prepared> prepared_;
  std::vector<Executable*> ran_;  ///< in the last run, for each carried replica
};

}  // namespace cohort::distribute
