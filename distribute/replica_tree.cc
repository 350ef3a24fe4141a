#include "cohort/distribute/replica_tree.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "cohort/core/error.h"

namespace cohort::distribute {
namespace {

/// Leaves in the left half of a range of n > 1 leaves.
int left_leaves(int n) { return static_cast<int>(std::bit_floor(static_cast<unsigned>(n - 1))); }

void split(int leaves, int devices, std::vector<int>& blocks) {
  if (devices == 1) {
    blocks.push_back(leaves);
    return;
  }
  const int left = left_leaves(leaves), right = leaves - left;
  int to_left = static_cast<int>(std::lround(static_cast<double>(devices) * left / leaves));
  to_left = std::clamp(to_left, std::max(1, devices - right), std::min(devices - 1, left));
  split(left, to_left, blocks);
  split(right, devices - to_left, blocks);
}

/// Combines blocks [begin, end) and returns where their total is.
int combine(const std::vector<int>& sizes, int begin, int end,
            std::vector<std::pair<int, int>>& order) {
  if (end - begin == 1) return begin;
  const int left = left_leaves(std::accumulate(sizes.begin() + begin, sizes.begin() + end, 0));
  int middle = begin, leaves = 0;
  for (; leaves < left; ++middle) leaves += sizes[static_cast<size_t>(middle)];
  if (leaves != left)
    throw InvalidArgument(
        "replicas: got blocks of {} replicas; want each to be the leaves of one subtree",
        fmt::join(sizes, ", "));
  const int a = combine(sizes, begin, middle, order);
  const int b = combine(sizes, middle, end, order);
  order.emplace_back(a, b);
  return a;
}

}  // namespace

std::vector<int> split_into_blocks(int num_replicas, int num_devices) {
  if (num_devices < 1 || num_devices > num_replicas)
    throw InvalidArgument(
        "replicas: got {} replicas on {} devices; want at least one replica for each device",
        num_replicas, num_devices);
  std::vector<int> blocks;
  split(num_replicas, num_devices, blocks);
  return blocks;
}

std::vector<int64_t> first_replicas(const std::vector<int>& blocks) {
  std::vector<int64_t> firsts(blocks.size(), 0);
  std::partial_sum(blocks.begin(), blocks.end() - 1, firsts.begin() + 1);
  return firsts;
}

bool can_be_dealt(int num_replicas, int num_devices) {
  return std::has_single_bit(static_cast<unsigned>(num_devices)) && num_replicas % num_devices == 0;
}

std::vector<std::pair<int, int>> combine_order(const std::vector<int>& block_sizes) {
  std::vector<std::pair<int, int>> order;
  if (!block_sizes.empty()) combine(block_sizes, 0, static_cast<int>(block_sizes.size()), order);
  return order;
}

}  // namespace cohort::distribute
