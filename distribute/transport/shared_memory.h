#pragma once

#include <memory>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/transport/host_group.h"

namespace cohort::distribute {

/// The communicator of rank `rank` of a group whose ranks are all on one host. The replica's own
/// thread does the arithmetic, inside wait(). By the size of a call:
///   * at most kTinyBytes: payload and call number travel on one line per rank;
///   * more, all buffers from allocate_bucket: each rank adds its share of the elements over all
///     buffers and writes the sums into all of them, between two barriers;
///   * private buffers of at most kSmallBytes: start() copies into a shared slot, wait() adds
///     everybody's slots;
///   * larger private buffers: as in buckets, but in rounds through shared windows: a round is
///   copied
///     in while the one before is added and the one before that is copied out.
/// A slot must keep pointing into bucket memory if it did when it was prepared. A wait that fails
/// leaves the buffers unspecified, and the group failed.
/// `block_sizes`: logical replicas of each rank.
std::unique_ptr<Communicator> make_shared_memory_communicator(std::shared_ptr<HostGroup> group,
                                                              int rank,
                                                              std::vector<int> block_sizes);

/// The host's group of such a communicator; null for another.
const HostGroup* shared_memory_group_of(const Communicator& communicator);

}  // namespace cohort::distribute
