#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/graph/graph.h"
#include "core/runtime/step_state.h"
#include "core/tensor.h"

namespace cohort {

class Communicator;
class Device;
class Runtime;

struct CompileOptions {
  /// Where nodes without a device request run. Requests choose among the runtime's devices.
  Device* device = nullptr;
  /// Null: one replica; collectives are the identity.
  Communicator* communicator = nullptr;
  /// Compiler passes by name that are left out (for tests and for finding faults): "fold", "cse",
  /// "fuse".
  std::vector<std::string> disabled_passes = {};
  /// Records the time of every node of every run (core/trace).
  bool trace = false;
};

/// A graph bound to numbers, kernels and memory: what a step runs. Runs on the calling thread
/// (which must have called device.bind_thread()); nodes on other devices run on those devices'
/// threads. Not re-entrant.
class Executable {
 public:
  virtual ~Executable() = default;

  /// Where to read the i-th placeholder from in the next runs: `data` must hold the bytes of the
  /// bound type, on the host, and stay until run() returns. No copy is made on CPU.
  virtual void set_input(int i, const void* data) = 0;
  virtual StepState& step() = 0;  ///< host copy; taken over at run()
  /// Runs one step. On an error no variable has been written.
  virtual void run() = 0;
  /// The i-th fetch of the last run, in the arena: valid until anything runs on the device.
  virtual Tensor output(int i) = 0;  ///< copied out
  virtual void copy_output(int i, void* to) = 0;

  virtual const std::vector<TensorType>& input_types() const = 0;
  virtual const std::vector<TensorType>& output_types() const = 0;
  /// The compiled graph: symbols bound, passes applied.
  virtual const Graph& graph() const = 0;
};

/// Values of the symbols of a graph: {"N": 32}.
using SymbolBindings = std::map<std::string, int64_t>;

/// The bindings under which placeholders of `graph` take these shapes. Throws InvalidArgument
/// naming the input, what was got and what is wanted.
SymbolBindings bind_symbols(const Graph& graph, std::span<const TensorType> inputs);

/// Compiles `graph` for `fetches` and all its commit nodes. The graph is not changed.
std::unique_ptr<Executable> compile(Runtime& runtime, const Graph& graph,
                                    std::span<const Value> fetches, const SymbolBindings& bindings,
                                    const CompileOptions& options);

}  // namespace cohort
