#pragma once

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

/// The nodes that fetches and commit nodes need, and all placeholders (they keep their numbers).
/// Indexed by node id.
std::vector<bool> live_nodes(const Graph& graph, std::span<const Value> fetches);

/// How many inputs, fetches and control edges of live nodes use each node's outputs: [node
/// id][output].
std::vector<std::vector<int>> count_uses(const Graph& graph, std::span<const Value> fetches);

/// Builds a new graph from an old one, node by node in order: each live node is copied, or replaced
/// by saying what its values become. Dead nodes are dropped.
class Rewriter {
 public:
  Rewriter(const Graph& from, std::span<const Value> fetches);

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
  const Graph& from_;
  std::vector<Value> fetches_;
  std::vector<const Node*> live_;
  std::unique_ptr<Graph> to_;
  std::unordered_map<const Node*, std::vector<Value>> mapped_;
};

}  // namespace cohort
