#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/device/device.h"
#include "cohort/core/graph/graph.h"
#include "cohort/core/runtime/step_state.h"

namespace cohort {

class KernelRegistry;

/// A tensor as a kernel sees it: numbers for every dimension, row-major, and a slot that holds its
/// address while the kernel runs (aligned as memory_plan.h says). The slot's content may change
/// between runs; the slot does not move. A kernel may therefore keep the Operand.
struct Operand {
  DType dtype = DType::kF32;
  Shape shape;
  void* const* slot = nullptr;
  /// For the value of a variable: grows at every write. Null otherwise.
  const uint64_t* version = nullptr;

  template <class T>
  T* data() const {
    return static_cast<T*>(*slot);
  }
  int64_t num_elements() const { return shape.num_elements(); }
  size_t num_bytes() const { return static_cast<size_t>(num_elements()) * size_of(dtype); }
};

/// What a kernel is made for. Valid while the factory runs; operands may be copied and kept.
struct KernelRequest {
  const Node& node;  ///< attributes with all symbols bound
  std::span<const Operand> inputs;
  std::span<const Operand> outputs;
  /// The variables of attribute "variables", in its order (empty without one); writable in commit
  /// ops.
  std::span<const Operand> variables;
  /// Holds the address of workspace_bytes() bytes, 256-byte aligned, while run() is active.
  void* const* workspace = nullptr;
  /// Holds the address of the StepState in the device's memory.
  const StepState* const* step = nullptr;
  Device& device;
  /// Where the request is made: for kernels that are made of others. Set by the registry.
  const KernelRegistry* kernels = nullptr;
};

/// One bound computation. Made at compile time, run every step by the device's thread, in schedule
/// order.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// Reads inputs, writes all of every output. Allocates nothing. CPU: done on return. CUDA:
  /// enqueued on the device's compute stream. May throw Error on bad data (a label out of range),
  /// except in commit ops.
  virtual void run() = 0;
  /// Scratch memory needed during run().
  virtual size_t workspace_bytes() const { return 0; }
  /// True when `output` may occupy exactly the memory of `input` (same bytes), which dies here.
  virtual bool can_share(int output, int input) const {
    (void)output, (void)input;
    return false;
  }
};

/// Returns null when the implementation does not take the case (dtype, shape, CPU features).
using KernelFactory = std::unique_ptr<Kernel> (*)(const KernelRequest&);

/// Which kernels exist, by op and device type: an ordered list for each; the first that accepts
/// wins.
class KernelRegistry {
 public:
  /// Appends an implementation. `name` is shown in traces and errors ("onednn", "simd",
  /// "reference").
  void add(std::string_view op, DeviceType device, std::string_view name, KernelFactory make);
  /// Throws Unimplemented that lists what exists for the op, with the case's dtypes and shapes.
  std::unique_ptr<Kernel> make(const KernelRequest& request) const;
  /// The implementation called `name` alone: null when it does not exist or does not take the case.
  /// For tests and measurements that compare implementations.
  std::unique_ptr<Kernel> make(const KernelRequest& request, std::string_view name) const;
  /// The implementations of an op, in order.
  std::vector<std::string> names(std::string_view op, DeviceType device) const;
  bool has(std::string_view op, DeviceType device) const;

 private:
  struct Entry {
    std::string name;
    KernelFactory make;
  };
  std::map<std::pair<std::string, DeviceType>, std::vector<Entry>> entries_;
};

}  // namespace cohort
