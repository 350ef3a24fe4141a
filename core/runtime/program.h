#pragma once

#include <memory>

#include "cohort/core/runtime/executable.h"
#include "cohort/core/runtime/function.h"
#include "cohort/core/runtime/recently_used.h"
#include "cohort/core/runtime/replica_turns.h"

namespace cohort {

class Communicator;

struct ProgramOptions {
  Device* device = nullptr;               ///< null: the runtime's default device
  Communicator* communicator = nullptr;   ///< null: one replica
  int local_replicas = 1;                 ///< of those that the device carries
  int num_replicas = 1;                   ///< of all ranks of the communicator
  Turns turns = Turns::kNone;             ///< of replicas, where some rank carries several
  size_t bucket_bytes = size_t{4} << 20;  ///< about the size of what is reduced together
  DType gradient_dtype = DType::kF32;     ///< in which sums of f32 gradients travel between hosts
  std::vector<std::string> disabled_passes = {};
};

/// A placed trace (Strategy::Impl::place) made ready for one device: collectives planned, variables
/// laid out, and compiled for every batch size on demand (RecentlyUsed says how many are kept).
/// With a communicator, construction is collective: every rank constructs the same programs in the
/// same order. Made and used by a thread that has the turns of its devices (StepDevices).
class Program {
 public:
  Program(Runtime& runtime, const Trace& trace, ProgramOptions options);

  /// The step for these symbols.
  Executable& whole(const SymbolBindings& bindings);
  /// Whose turn it is; null where nobody takes turns.
  ReplicaTurns* turns() { return turns_.get(); }

  /// Of every executable: see Executable::drop_recording.
  void drop_recordings();

  CollectivePlan& collectives() { return plan_; }
  /// Calls in one step.
  size_t num_collectives() const;
  /// Of parameter groups.
  GroupMemory memory() const;
  Device& device() { return *options_.device; }
  const Graph& graph() const { return *function_.graph; }
  /// Memory that it holds, about.
  size_t num_bytes();

 private:
  struct Cached {
    SymbolBindings bindings;
    std::unique_ptr<Executable> executable;
    size_t num_bytes() const { return executable->num_bytes(); }
  };

  Runtime& runtime_;
  ProgramOptions options_;
  CollectivePlan plan_;
  GraphFunction function_;
  std::unique_ptr<ReplicaTurns> turns_;
  RecentlyUsed<Cached> executables_;
};

}  // namespace cohort
