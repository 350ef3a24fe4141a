#pragma once

#include <utility>
#include <vector>

namespace cohort::distribute {

/// The additions of replica_tree.h, divided between nodes that carry the ranks: each node first
/// adds its ranks' blocks as far as the tree allows; what then stands in its `roots` goes over the
/// network, where `rest` is added. The order of additions stays that of the tree. A node whose
/// ranks are one subtree has one root.
struct TreeSplit {
  using Order = std::vector<std::pair<int, int>>;

  /// `node_of`: the node of every rank.
  TreeSplit(const std::vector<int>& block_sizes, const std::vector<int>& node_of, int num_nodes);

  std::vector<Order> local;             ///< of each node: rank a += rank b
  Order rest;                           ///< the total ends in rank 0
  std::vector<std::vector<int>> roots;  ///< of each node, ascending ranks
};

}  // namespace cohort::distribute
