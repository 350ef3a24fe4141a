#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>

#include "cohort/kernels/cuda/handle.h"

namespace cohort::cuda {

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;

/// An event that orders streams and measures no time.
Event make_event();
/// What is submitted to `later` from now on waits for what `earlier` has so far. `event` is
/// recorded again by every call; an earlier call's wait keeps what it saw.
void order(cudaStream_t earlier, cudaStream_t later, cudaEvent_t event);

/// Makes `ordinal` the calling thread's CUDA device while it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(int ordinal);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;

 private:
  int previous_ = 0;
};

/// The queues of one device. Memory holds a share: it is freed in the order of the compute stream.
struct Streams {
  explicit Streams(int ordinal);
  int ordinal;
  Stream compute;        ///< kernels, and copies that kernels are ordered with
  Stream communication;  ///< collectives, beside the kernels
  Stream copy;           ///< copies between devices, beside the kernels
  Event fence;           ///< for order() between these
};

/// Zeroed memory of the device's pool, ready for every stream. 256-byte aligned.
/// Throws ResourceExhausted with the bytes asked for.
std::shared_ptr<void> allocate(std::shared_ptr<Streams> streams, size_t bytes);

}  // namespace cohort::cuda
