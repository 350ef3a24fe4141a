#include "cohort/distribute/transport/tree_split.h"

#include <algorithm>

#include "cohort/distribute/replica_tree.h"

namespace cohort::distribute {

TreeSplit::TreeSplit(const std::vector<int>& block_sizes, const std::vector<int>& node_of,
                     int num_nodes)
    : local(static_cast<size_t>(num_nodes)), roots(local.size()) {
  constexpr int kMixed = -1;
  std::vector<int> node = node_of;  // of the block whose sum stands at a rank
  const auto add_root = [&](int rank) {
    const int at = node[static_cast<size_t>(rank)];
    if (at != kMixed) roots[static_cast<size_t>(at)].push_back(rank);
  };
  for (const auto& [a, b] : combine_order(block_sizes)) {
    int& left = node[static_cast<size_t>(a)];
    if (left != kMixed && left == node[static_cast<size_t>(b)]) {
      local[static_cast<size_t>(left)].emplace_back(a, b);
      continue;
    }
    add_root(a);
    add_root(b);
    rest.emplace_back(a, b);
    left = kMixed;
  }
  if (rest.empty()) add_root(0);
  for (std::vector<int>& ranks : roots) std::sort(ranks.begin(), ranks.end());
}

}  // namespace cohort::distribute
