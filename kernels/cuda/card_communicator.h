#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cohort/core/chrono.h"
#include "cohort/core/device/device.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/job_group.h"

namespace cohort::cuda {

/// Whether these GPUs are logical devices of one card, which NCCL does not join. Throws
/// InvalidArgument, naming two that share a card and one that does not, for a mixture.
bool on_one_card(std::span<Device* const> devices);

/// One communicator for each logical device of one card; the i-th has rank i. Ranks copy from each
/// other's memory and add in the group's order, on their compute streams. Their threads meet on the
/// host, where an event must be recorded before others can wait for it: start() returns at once,
/// wait() when all ranks have submitted the collective. So both run between the graphs of a
/// recorded step. wait() throws DeadlineExceeded, naming the silent rank, after `timeout`.
std::vector<std::unique_ptr<Communicator>> make_card_communicators(
    const LocalGroup& group, std::chrono::milliseconds timeout = std::chrono::minutes(10));

}  // namespace cohort::cuda
