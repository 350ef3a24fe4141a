#pragma once

#include <map>
#include <optional>
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

/// What an op is to the compiler: the first of its traits.
enum class OpKind {
  kCompute,     ///< a kernel computes the outputs from the inputs
  kSource,      ///< no inputs and no kernel: the value lies where `source` says
  kAlias,       ///< no kernel: the output is the first input, in the same memory
  kCollective,  ///< no kernel: replicas exchange their inputs, as `exchange` says; one replica
                ///< alone has its inputs as outputs
  kUpdate,      ///< no outputs: writes the variables of attribute "variables". Runs, needed or not,
                ///< in the commit phase, when nothing can fail any more, and must not fail itself
};

/// Where the value of a source comes from.
enum class Source {
  kNone,
  kInput,     ///< the program feeds it; attributes "dtype", "shape"
  kVariable,  ///< of attribute "variables", one number, as it was before the step
  kConstant,  ///< attribute "value", a Tensor
};

/// What a collective gives.
enum class Exchange {
  kNone,
  kReduce,   ///< output i: of input i, one tensor over all replicas, of the same type and memory
  kGather,   ///< the inputs of all replicas, one after the other
  kPlaced,   ///< output i: of input i, what the strategy makes of it, by other ops, before a step
             ///< runs
  kScatter,  ///< one value: of all inputs, which are the segments of parameter group "group", the
             ///< range that this rank has, over all replicas
  kPublish,  ///< of an update: each rank has written its range of the parameters of group "group",
             ///< and all get all of them
};

/// The part that a node has in the vote of the replicas on a step (core/runtime/step_vote.h).
enum class Vote {
  kNone,
  kCast,  ///< says whether this replica could do everything that it alone may fail at
  kVeto,  ///< the first update: keeps the others from writing when a replica could not
};

/// The meaning of an op: its shape rule, its gradient, and its traits, by which alone the compiler
/// knows it. How it is computed is a kernel's business.
struct OpDef {
  std::string name;
  /// Exact number of inputs; -1: any number (the shape rule checks).
  int num_inputs = 1;
  /// dtype and shape of every output. Also run when symbols are bound, with numbers in their place.
  std::vector<TensorType> (*infer)(const InferContext&) = nullptr;
  /// One gradient per input, from one gradient per output (some may be absent). Null: gradients()
  /// through this op is an error. Return {} for ops through which no gradient flows.
  Gradients (*gradient)(const Node& node, std::span<const Gradient> dy) = nullptr;

  OpKind kind = OpKind::kCompute;
  Source source = Source::kNone;        ///< of a kSource, and of nothing else
  Exchange exchange = Exchange::kNone;  ///< of a kCollective, but for kPublish, and of nothing else
  Vote vote = Vote::kNone;
  /// Never merged, folded or moved across steps: random numbers, step state, collectives.
  bool stateful = false;
  /// The outputs may differ between replicas whose inputs are equal: a replica's own rows, its own
  /// place among the others. (Of variables, their options say it.)
  bool differs_by_replica = false;
  /// The inputs are made in the memory on which the op works, that of bucket "bucket"; the compiler
  /// copies those that cannot be.
  bool in_place = false;
  /// Of an update of a whole group of n variables of one dtype: n gradients come first, then this
  /// many inputs for all of them. "variables" are n parameters, then n of each slot; a list of
  /// doubles "weight_decay" has n numbers, or none. The compiler reorders and divides the group,
  /// and lays its members side by side.
  std::optional<int> group_inputs = {};

  /// One output, whose elements depend each on the elements of the (broadcast) inputs at its own
  /// place. The compiler may run its kernels on blocks: on a CPU they take shapes from their
  /// operands, do not fail, and give an element the same bits wherever a block begins.
  bool elementwise = false;
  /// Although it is elementwise, its kernels may fail on integers (a division by zero): then it is
  /// not run on blocks.
  bool integers_may_fail = false;
  /// Of an update of a group: what becomes of an element follows from its own gradient and slots
  /// and the group's inputs, with the same bits wherever a range of the group begins. Then a rank
  /// may update a range alone.
  bool by_element = false;
  /// Of two inputs: x op `neutral_right` is x, `neutral_left` op x is x.
  std::optional<double> neutral_left = {}, neutral_right = {};
  /// Whether this node gives its first input as it is, as a reshape to the same shape does; then it
  /// falls away. Null: never.
  bool (*is_identity)(const Node& node) = nullptr;
  /// The number that every element of the output is, where the node itself tells. Null: it never
  /// does.
  std::optional<double> (*uniform_value)(const Node& node) = nullptr;

  /// Whether a kernel runs for it.
  bool has_kernel() const {
    return kind == OpKind::kCompute || (kind == OpKind::kUpdate && exchange == Exchange::kNone);
  }
};

/// The ops a runtime knows. Filled once, by explicit calls, before graphs are built.
class OpRegistry {
 public:
  /// Throws AlreadyExists when the name is taken, InvalidArgument for traits that contradict each
  /// other.
  void add(OpDef op);
  /// Throws NotFound naming similar ops.
  const OpDef& get(std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, OpDef, std::less<>> ops_;
};

}  // namespace cohort
