#pragma once

#include "cohort/kernels/cuda/streams.h"

// Where threads wait for a device: no other file calls what blocks in CUDA. While a communicator
// has a monitor there (Streams::monitors), waits poll, so that a peer that is silent or gone ends
// them.
namespace cohort::cuda {

/// Returns when all work of the compute stream so far is done. Throws what failed in it, and what a
/// monitor throws.
void wait_for_compute(const Streams& streams);
/// Returns when the work before the event's last record is done; at once for one never recorded.
/// `event` belongs to the device of `streams`. Throws as above.
void wait_for(const Streams& streams, cudaEvent_t event);
/// For destructors: when all work of the current device is done, or has failed.
void finish_device();

}  // namespace cohort::cuda
