#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "cohort/core/runtime/monitored_wait.h"
#include "cohort/kernels/cuda/handle.h"

namespace cohort::cuda {

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;

/// An event that orders streams and measures no time.
Event make_event();
/// What is submitted to `later` from now on waits for what `earlier` has so far. `event` is
/// recorded again by every call; an earlier call's wait keeps what it saw.
void order(cudaStream_t earlier, cudaStream_t later, cudaEvent_t event);

/// Makes `ordinal` the calling thread's CUDA device while it lives. The one before becomes it again
/// where it is in use: a device that is none yet would get a context by that.
class DeviceGuard {
 public:
  explicit DeviceGuard(int ordinal);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

/// The queues of one device. Memory holds a share: it is freed in the order of the compute stream.
struct Streams {
  explicit Streams(int ordinal);
  int ordinal;
  Stream compute;          ///< kernels, and copies that kernels are ordered with
  Stream communication;    ///< collectives, beside the kernels
  Stream copy;             ///< copies between devices, beside the kernels
  Event fence;             ///< for order() between these
  MonitoredWait monitors;  ///< of who waits for the device
};

/// Zeroed memory of the device's pool, ready for every stream. 256-byte aligned.
/// Throws ResourceExhausted with the bytes asked for.
std::shared_ptr<void> allocate(std::shared_ptr<Streams> streams, size_t bytes);

/// Gives the pool's memory that nobody uses back to the device, where arenas and libraries find it.
/// Waits for the compute stream, in whose order memory is freed.
void trim_pool(const Streams& streams);
/// What `take()` returns; where that is `exhausted`, trims the pool and tries once more.
template <class Take, class Status>
Status take_or_trim(const Streams& streams, Status exhausted, Take&& take) {
  const Status status = take();
  if (status != exhausted) return status;
  trim_pool(streams);
  return take();
}

}  // namespace cohort::cuda
