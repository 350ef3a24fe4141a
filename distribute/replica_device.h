#pragma once

#include <memory>
#include <optional>
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

/// One device and the block of logical replicas that it carries: runs their part of a step.
class ReplicaDevice {
 public:
  /// `communicator` is null when this is the only device. Collective when it is not. `in_turn`:
  /// this or another device of the group carries several replicas. `all_replicas`: of all devices.
  ReplicaDevice(Runtime& runtime, const Trace& trace, Device& device, Communicator* communicator,
                int num_replicas, int all_replicas, bool in_turn, size_t bucket_bytes,
                DType gradient_dtype);

  int num_replicas() const { return num_replicas_; }
  Device& device() { return program_.device(); }
  /// Time spent in waits for the other devices.
  std::chrono::nanoseconds waited() { return program_.collectives().waited(); }
  /// Memory that it holds, about.
  size_t num_bytes() { return program_.num_bytes(); }
  /// Of one step.
  size_t num_collectives() { return program_.collectives().num_collectives(); }
  GroupMemory memory() { return program_.collectives().memory(); }
  /// The symbols of the trace's inputs, in order of appearance; their numbers choose the
  /// executable.
  static std::vector<std::string> symbols(const Graph& graph);

  /// Compiles what `feeds` (one for each replica carried) need; returns whether there was anything
  /// to do. To be called by the thread that owns the variables, before run.
  bool prepare(std::span<const ReplicaFeed> feeds);
  /// Runs the step for all replicas carried; called by the device's thread. Throws; nothing is
  /// committed then.
  void run(std::span<const ReplicaFeed> feeds);
  // A step with collectives is recorded and replayed by all ranks together (Executable); not where
  // replicas take turns. To be called after prepare() for these feeds.
  RecordingOutcome record(std::span<const ReplicaFeed> feeds);
  bool is_recorded(std::span<const ReplicaFeed> feeds);
  void set_replay(std::span<const ReplicaFeed> feeds, bool replay);
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
