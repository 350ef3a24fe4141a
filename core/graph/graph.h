#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/device.h"
#include "cohort/core/graph/attr.h"

namespace cohort {

class Graph;
class Node;
class OpRegistry;
class VariableState;
struct OpDef;

/// What is known of a value while the graph is built. Dimensions may be symbols.
struct TensorType {
  DType dtype = DType::kF32;
  Shape shape;
  bool operator==(const TensorType&) const = default;
};

/// The part of a step that a node belongs to.
enum class Stage {
  kForward,   ///< the forward pass, and all that is of no other stage
  kBackward,  ///< recorded by gradients()
  kCommit,    ///< writes state (ops of kind kUpdate), after all that can fail
};

/// A symbolic value: one output of one node. A cheap handle, valid while its graph lives.
/// It has no numbers; item() exists to say so.
class Value {
 public:
  Value() = default;
  Value(Node* node, int index) : node_(node), index_(index) {}

  bool defined() const { return node_ != nullptr; }
  Node* node() const { return node_; }
  int index() const { return index_; }
  Graph& graph() const;
  const TensorType& type() const;
  DType dtype() const { return type().dtype; }
  const Shape& shape() const { return type().shape; }
  int rank() const { return shape().rank(); }

  /// Always throws FailedPrecondition: a symbolic value has no number while a function is traced.
  [[noreturn]] double item() const;
  /// Always throws, for `if (loss < 1)`: control flow must not depend on symbolic values.
  explicit operator bool() const;

  bool operator==(const Value&) const = default;

 private:
  Node* node_ = nullptr;
  int index_ = 0;
};

/// One application of an op. Owned by its graph; read by everyone, changed by compiler passes only.
class Node {
 public:
  int id() const { return id_; }
  /// Unique within the graph, with scopes: "sequential/dense/MatMul".
  const std::string& name() const { return name_; }
  const OpDef& op() const { return *op_; }
  const std::string& op_name() const;
  Graph& graph() const { return *graph_; }
  const Attrs& attrs() const { return attrs_; }
  const std::vector<Value>& inputs() const { return inputs_; }
  Value input(int i) const { return inputs_[static_cast<size_t>(i)]; }
  /// Nodes that must have run before this one although no value flows from them.
  const std::vector<Node*>& control_inputs() const { return control_inputs_; }
  const std::vector<TensorType>& output_types() const { return output_types_; }
  int num_outputs() const { return static_cast<int>(output_types_.size()); }
  Value output(int i = 0) { return Value(this, i); }
  /// The requested device, possibly partial or empty.
  const DeviceName& device() const { return device_; }
  Stage stage() const { return stage_; }

  // For compiler passes, which keep the graph's invariants themselves.
  Attrs& mutable_attrs() { return attrs_; }
  void set_input(int i, Value value) { inputs_[static_cast<size_t>(i)] = value; }
  void add_control_input(Node* node);
  void set_device(DeviceName device);
  /// Not for nodes that commit.
  void set_stage(Stage stage) { stage_ = stage; }

 private:
  friend class Graph;

  int id_ = 0;
  std::string name_;
  const OpDef* op_ = nullptr;
  Graph* graph_ = nullptr;
  Attrs attrs_;
  std::vector<Value> inputs_;
  std::vector<Node*> control_inputs_;
  std::vector<TensorType> output_types_;
  DeviceName device_;
  Stage stage_ = Stage::kForward;
};

struct NodeOptions {
  std::string name = {};  ///< default: the op's name; made unique and prefixed by the name scope
  std::vector<Node*> control_inputs = {};
};

/// A directed acyclic graph of ops over symbolic values. Nodes are kept in creation order, which is
/// a topological order. Variables appear in a graph by reference, never by value.
/// Not synchronised: one thread builds or changes a graph.
class Graph {
 public:
  /// `ops` must outlive the graph.
  explicit Graph(const OpRegistry& ops);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const OpRegistry& ops() const { return *ops_; }

  /// Appends a node after applying the op's shape rule. Throws what the rule throws, with the
  /// current name scope in front ("dense_1: matmul: got …"); InvalidArgument when an input belongs
  /// to another graph. Name, device, stage and scopes come from `options` and the thread's scope
  /// stack; what updates variables is of the commit stage wherever it is recorded.
  Node* add(std::string_view op, std::vector<Value> inputs, Attrs attrs = {},
            NodeOptions options = {});

  /// Appends a copy of `source` (of any graph) with these inputs and attributes, keeping its name,
  /// device and stage; its outputs' types are inferred anew. For compiler passes. The graph's
  /// variables must be source's: see share_variables.
  Node* copy_node(const Node& source, std::vector<Value> inputs, Attrs attrs);
  /// The same with another op, which is to stand in the place of `source`.
  Node* add_like(const Node& source, std::string_view op, std::vector<Value> inputs, Attrs attrs);
  /// Appends a node as it stood in another graph, with its full name, device and stage; scopes do
  /// not count. For deserialisation. Throws AlreadyExists on a name that is taken, InvalidArgument
  /// for the commit stage of an op that is no update, and as add() does.
  Node* restore(std::string_view op, std::vector<Value> inputs, Attrs attrs, std::string name,
                DeviceName device, Stage stage = Stage::kForward);
  /// Takes over the numbering of variables of `other`; to be called on an empty graph.
  void share_variables(const Graph& other);

  /// An input of the graph, fed at run time; inputs are numbered in order of creation.
  Value placeholder(std::string name, TensorType type);
  const std::vector<Node*>& placeholders() const { return placeholders_; }

  /// The value of a variable at the start of the step (one node for each variable and graph).
  Value read(const std::shared_ptr<VariableState>& variable);
  /// The number by which nodes of this graph refer to `variable` (attribute "variables").
  int64_t variable_id(const std::shared_ptr<VariableState>& variable);
  const std::vector<std::shared_ptr<VariableState>>& variables() const { return variables_; }

  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  /// Finds a node by its full name; nullptr when there is none.
  Node* find(std::string_view name) const;
  /// Nodes of the commit stage, in creation order: roots of every execution besides the fetches.
  std::vector<Node*> commit_nodes() const;

 private:
  std::string unique_name(const std::string& name);
  Node* append(std::unique_ptr<Node> node, std::string name);
  Node* append_as_is(const OpDef& op, std::vector<Value> inputs, Attrs attrs, std::string name,
                     DeviceName device, Stage stage);

  struct Index;

  const OpRegistry* ops_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Node*> placeholders_;
  std::vector<std::shared_ptr<VariableState>> variables_;
  std::unique_ptr<Index> index_;  // names and variables, to be found
};

}  // namespace cohort
