#pragma once

#include <string>
#include <vector>

namespace cohort::distribute {

/// Who carries which ranks, the same on every node.
struct NetworkLayout {
  std::vector<int> block_sizes;            ///< logical replicas of each rank
  std::vector<int> node_of;                ///< of each rank
  std::vector<std::vector<int>> ranks_of;  ///< of each node, ascending
  std::vector<std::string> rank_names;     ///< "rank 3 (worker 1)"
  /// All-reduces of so many bytes take one hop among several nodes (link_cost.h).
  size_t one_hop_bytes = 4096;

  int size() const { return static_cast<int>(block_sizes.size()); }
  int num_nodes() const { return static_cast<int>(ranks_of.size()); }
};

}  // namespace cohort::distribute
