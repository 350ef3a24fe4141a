#pragma once

#include <cstdint>
#include <utility>
#include <vector>

/// The one order in which gradients are added, whatever carries the replicas.
///
/// Logical replicas 0 … n-1 are the leaves of a binary tree: a range of more than one leaf is split
/// behind the largest power of two that is smaller than its size. A device carries a block: the
/// leaves of one subtree. It adds its own leaves in tree order; then the blocks are added in tree
/// order. So a sum has the same bits on any number of devices.
namespace cohort::distribute {

/// Leaves of each device, in order, for n replicas on `num_devices` devices (1 … n): blocks of
/// about equal size.
std::vector<int> split_into_blocks(int num_replicas, int num_devices);

/// The first leaf of each block.
std::vector<int64_t> first_replicas(const std::vector<int>& blocks);

/// Whether replicas can be dealt to devices: device j of d carries j, j + d, …, and what all
/// devices add in one turn is a subtree. Where d is a power of two that divides n.
bool can_be_dealt(int num_replicas, int num_devices);

/// The additions that combine blocks of these sizes: for (a, b) in order, a += b; the total ends in
/// block 0. Throws InvalidArgument where a block is no subtree.
std::vector<std::pair<int, int>> combine_order(const std::vector<int>& block_sizes);

}  // namespace cohort::distribute
