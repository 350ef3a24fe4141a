#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "cohort/core/graph/graph.h"

namespace cohort {

/// A graph and what is wanted of it. Compiler passes take one and return another.
struct GraphFunction {
  std::unique_ptr<Graph> graph;
  std::vector<Value> fetches;
};

// A node's attributes may hold graphs. Such a nested graph gives the outputs of its last node; its
// placeholders are what the node makes of its own inputs.

/// What a nested graph gives.
std::vector<Value> results_of(const Graph& nested);
/// Whether this holds for a node of the graph, or of one nested in it at any depth.
bool any_node(const Graph& graph, const std::function<bool(const Node&)>& holds);
/// The same for the graphs nested in one node.
bool any_nested_node(const Node& node, const std::function<bool(const Node&)>& holds);
/// Whether the node, with what is nested in it, neither writes anything nor may give something else
/// from equal inputs.
bool is_pure(const Node& node);

/// A pass as it goes through a graph nested in `holder`. It may return no graph: then nothing
/// changes.
using NestedPass =
    std::function<GraphFunction(const Node& holder, const Graph& nested, std::span<const Value>)>;

/// The nodes that fetches and commit nodes need, and all placeholders (they keep their numbers).
/// Indexed by node id.
std::vector<bool> live_nodes(const Graph& graph, std::span<const Value> fetches);

/// How many inputs, fetches and control edges of live nodes use each node's outputs: [node
/// id][output].
std::vector<std::vector<int>> count_uses(const Graph& graph, std::span<const Value> fetches);

/// Builds a new graph from an old one, node by node in order: each live node is copied, or replaced
/// by saying what its values become. Dead nodes are dropped. Every node that is copied has
/// `nested` go through the graphs in it; one whose result that would replace stays as it is,
/// because what a nested graph gives is what its last node makes.
class Rewriter {
 public:
  Rewriter(const Graph& from, std::span<const Value> fetches, NestedPass nested = {});

  /// The nodes to treat, in order.
  const std::vector<const Node*>& nodes() const { return live_; }
  Graph& graph() { return *to_; }
  /// What an old value has become.
  Value operator[](Value old) const;
  std::vector<Value> mapped_inputs(const Node& node) const;

  /// Copies `node` (with other attributes or inputs, where given) and maps its outputs to the
  /// copy's.
  Node* copy(const Node& node);
  Node* copy(const Node& node, Attrs attrs);
  Node* copy(const Node& node, Attrs attrs, std::vector<Value> inputs);
  void replace(Value old, Value now);

  GraphFunction finish();

 private:
  void rewrite_nested(const Node& holder, Attrs& attrs) const;

  NestedPass nested_;
  std::vector<Value> fetches_;
  std::vector<const Node*> live_;
  std::unique_ptr<Graph> to_;
  std::unordered_map<const Node*, std::vector<Value>> mapped_;
};

}  // namespace cohort
