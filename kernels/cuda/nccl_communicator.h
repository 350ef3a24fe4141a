#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/runtime/communicator.h"
#include "core/runtime/device.h"

namespace cohort::cuda {

/// One communicator for each of these GPUs of this process; the i-th has rank i. Collectives run on
/// the devices' communication streams: start() returns at once and wait() only orders the compute
/// stream, so both may be recorded. That a peer is silent is found where a device is waited for:
/// DeadlineExceeded after 10 minutes, Unavailable when NCCL says that a peer is gone; all ranks are
/// aborted then.
std::vector<std::unique_ptr<Communicator>> make_nccl_communicators(
    std::span<Device* const> devices);

}  // namespace cohort::cuda
