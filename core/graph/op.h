#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort {

/// What a shape rule sees.
class InferContext {
 public:
  InferContext(std::span<const TensorType> inputs, const Attrs& attrs)
      : inputs_(inputs), attrs_(attrs) {}

  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  const TensorType& input(int i) const { return inputs_[static_cast<size_t>(i)]; }
  const Shape& shape(int i) const { return input(i).shape; }
  DType dtype(int i) const { return input(i).dtype; }
  const Attrs& attrs() const { return attrs_; }

 private:
  std::span<const TensorType> inputs_;
  const Attrs& attrs_;
};

/// The gradient of a gathered table: rows `values` [K, …] to be added at `indices` [K] of a tensor
/// of shape `dense_shape`; an index may occur more than once.
struct Slices {
  Value indices;
  Value values;
  Shape dense_shape;
};

/// The gradient with respect to one value: absent (no path), a value, or slices.
class Gradient {
 public:
  Gradient() = default;
  Gradient(Value value);    // NOLINT: rules return plain values
  Gradient(Slices slices);  // NOLINT

  bool absent() const { return form_ == Form::kAbsent; }
  bool is_slices() const { return form_ == Form::kSlices; }
  /// Internal unless is_slices().
  const Slices& slices() const;
  /// The dense value; slices are scattered into zeros. Internal when absent.
  Value dense() const;

 private:
  enum class Form { kAbsent, kDense, kSlices };

  Form form_ = Form::kAbsent;
  Slices slices_;  // of a dense gradient the values alone
};

using Gradients = std::vector<Gradient>;

/// The meaning of an op: its shape rule and its gradient. How it is computed is a kernel's
/// business.
struct OpDef {
  std::string name;
  /// Exact number of inputs; -1: any number (the shape rule checks).
  int num_inputs = 1;
  /// dtype and shape of every output. Also run when symbols are bound, with numbers in their place.
  std::vector<TensorType> (*infer)(const InferContext&) = nullptr;
  /// One gradient per input, from one gradient per output (some may be absent). Null: gradients()
  /// through this op is an error. Return {} for ops through which no gradient flows.
  Gradients (*gradient)(const Node& node, std::span<const Gradient> dy) = nullptr;
  /// Never merged, folded or moved across steps: random numbers, step state, collectives.
  bool stateful = false;
  /// Writes variables (attribute "variables"): runs in the commit phase and cannot fail.
  bool commit = false;
  /// One output, whose elements depend each on the elements of the (broadcast) inputs at its own
  /// place. The compiler may run its kernels on blocks: on a CPU they take shapes from their
  /// operands, do not fail, and give an element the same bits wherever a block begins.
  bool elementwise = false;
};

/// The ops a runtime knows. Filled once, by explicit calls, before graphs are built.
class OpRegistry {
 public:
  /// Throws AlreadyExists when the name is taken.
  void add(OpDef op);
  /// Throws NotFound naming similar ops.
  const OpDef& get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, OpDef, std::less<>> ops_;
};

}  // namespace cohort
