#pragma once

#include <memory>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/distribute/transport/group_splitter.h"
#include "cohort/distribute/transport/host_group.h"

namespace cohort::distribute {

/// The communicator of rank `rank` of a group whose ranks are all on one host. The replica's own
/// thread does the arithmetic, inside wait(); shared_collective.h says how. A slot must keep
/// pointing into bucket memory if it did when it was prepared. A wait that fails leaves the buffers
/// unspecified, and the group failed.
/// `block_sizes`: logical replicas of each rank.
std::unique_ptr<Communicator> make_shared_memory_communicator(
    std::shared_ptr<HostGroup> group, int rank, std::vector<int> block_sizes,
    std::shared_ptr<GroupSplitter> splitter);

}  // namespace cohort::distribute
