#pragma once

#include <memory>
#include <vector>

#include "cohort/core/device/device.h"
#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/job_group.h"

namespace cohort::cuda {

/// One communicator for each GPU of the group, all of this process; the i-th has rank i.
/// Collectives run on the devices' communication streams: start() returns at once and wait() only
/// orders the compute stream, so both may be recorded. That a peer is silent is found where a
/// device is waited for: DeadlineExceeded after 10 minutes, Unavailable when NCCL says that a peer
/// is gone; all ranks are aborted then.
std::vector<std::unique_ptr<Communicator>> make_nccl_communicators(const LocalGroup& group);

/// The same for the GPUs of several processes. The communicators are made without blocking, under
/// the group's deadline, and a failure of the job ends every wait for them: all ranks abort.
JobCommunicators nccl_job_communicators();

}  // namespace cohort::cuda
