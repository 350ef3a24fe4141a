#pragma once

#include <memory>

#include "cohort/core/runtime/communicator.h"
#include "cohort/kernels/cuda/device.h"
#include "cohort/kernels/cuda/nccl/group.h"

namespace cohort::cuda {

/// A collective on the device's streams. start(): the communication stream takes over when the
/// compute stream has come this far. wait(): the compute stream goes on when the communication
/// stream has got through. Both are recordable.
std::unique_ptr<Communicator::Request> make_nccl_request(std::shared_ptr<Group> group,
                                                         CudaDevice& device, int rank,
                                                         const CollectiveSpec& spec);

}  // namespace cohort::cuda
