#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/core/runtime/collective_plan.h"
#include "cohort/core/runtime/recorded_step.h"
#include "cohort/core/runtime/step_state.h"
#include "cohort/core/symbol.h"
#include "cohort/core/tensor.h"

namespace cohort {

class Device;
class ReplicaTurns;
class Runtime;
class TraceRecorder;

struct CompileOptions {
  /// Where nodes without a device request run. Requests choose among the runtime's devices.
  Device* device = nullptr;
  /// Null: one replica; collectives are the identity. Must outlive the executable.
  CollectivePlan* collectives = nullptr;
  /// The replicas that take turns on the device; null where one has it to itself, and so have those
  /// of all other ranks. Must outlive the executable, and go with the fetches.
  ReplicaTurns* turns = nullptr;
  /// Compiler passes left out (for tests and for finding faults): "fold", "cse", "fuse".
  std::vector<std::string> disabled_passes = {};
  bool has_pass(std::string_view name) const {
    return std::find(disabled_passes.begin(), disabled_passes.end(), name) == disabled_passes.end();
  }
  /// Records the time of every node of every run. Null: the runtime's, while it has one.
  TraceRecorder* recorder = nullptr;
};

/// A graph bound to numbers, kernels and memory: what a step runs. Runs on the calling thread;
/// nodes on other devices run on threads of its own. Compiled, run and read by a thread that has
/// the turns of its devices (StepDevices), for they share their arenas; a program of one thread may
/// do without.
class Executable {
 public:
  virtual ~Executable() = default;

  /// Where the i-th placeholder is read from in the next runs: `data` holds the bytes of the bound
  /// type, on the host, and stays until run() returns. No copy is made on CPU.
  virtual void set_input(int i, const void* data) = 0;
  /// The host's copy; taken over at run().
  virtual StepState& step() = 0;
  /// Runs one step. On an error no variable has been written (by this rank). What is published at
  /// its end (Exchange::kPublish) may fail to arrive when all has been written, which stays: on a
  /// GPU this throws that, on a CPU the next one who reads or writes the variables (Arrival).
  void run() { run_segment(0); }
  /// Where replicas take turns, a step is made of segments: each is run in the turn of every
  /// replica, in order, before the next one is. 1 elsewhere.
  virtual size_t num_segments() const = 0;
  /// What must be the same of executables whose turns alternate: by bucket, the segment behind
  /// which its result is there.
  virtual const std::vector<size_t>& segments_of_collectives() const = 0;
  /// In the turn that CompileOptions::turns say. Commits in the last turn's last segment.
  virtual void run_segment(size_t segment) = 0;
  // A step without collectives decides by itself when it is recorded and replayed. Of one with
  // collectives all ranks record together and replay together (NCCL wants that), so whoever runs
  // all ranks decides; until then it runs kernel by kernel.
  /// Records what run() submits, when it has run before. Runs nothing, and never throws.
  virtual RecordingOutcome record() = 0;
  /// Whether there is a recording that fits where the variables are now.
  virtual bool is_recorded() const = 0;
  /// Whether the runs that follow replay the recording, which must be there.
  virtual void set_replay(bool replay) = 0;
  /// For good: after a failure, whose communicator's end waits for its recordings to go.
  virtual void drop_recording() = 0;

  /// The i-th fetch of the last run, copied out; of each replica its own, that of the replica which
  /// CompileOptions::turns say. To be called before anything else runs on the device.
  virtual Tensor output(int i) = 0;
  virtual void copy_output(int i, void* to) = 0;
  virtual const TensorType& output_type(int i) const = 0;

  /// The compiled graph: symbols bound, passes applied.
  virtual const Graph& graph() const = 0;
  virtual size_t arena_bytes() const = 0;
  /// Memory of each replica that takes turns: for what is needed after its turn.
  virtual size_t replica_bytes() const = 0;
  /// Memory that it holds for itself, about: nodes, kernels and constants.
  virtual size_t num_bytes() const = 0;
};

/// About what a graph needs.
size_t num_bytes(const Graph& graph);

/// The bindings under which the placeholders of `graph` take these types. Throws InvalidArgument
/// naming the input, what was got and what is wanted.
SymbolBindings bind_symbols(const Graph& graph, std::span<const TensorType> inputs);

/// Compiles `graph` for `fetches` and all its commit nodes. The graph is not changed. With
/// collectives, the graph must have passed plan_collectives.
std::unique_ptr<Executable> compile(Runtime& runtime, const Graph& graph,
                                    std::span<const Value> fetches, const SymbolBindings& bindings,
                                    const CompileOptions& options);

}  // namespace cohort
