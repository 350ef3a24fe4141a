#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

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

/// A GPU of the program: a card, or one of several logical devices on it.
struct Place {
  int ordinal = 0;          ///< of the card, as CUDA counts
  int index = ordinal;      ///< of the device: gpu:index
  size_t memory_limit = 0;  ///< bytes; 0: what the card has
};

/// The bytes that a device has taken of its limit. Thread-safe.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit) : limit_(limit) {}
  /// False, and nothing is taken, where that exceeds the limit.
  bool take(size_t bytes);
  void give_back(size_t bytes) { taken_ -= bytes; }
  /// For errors: "12 of its limit of 16 bytes are taken", or "".
  std::string to_text() const;

 private:
  const size_t limit_;
  std::atomic<size_t> taken_ = 0;
};

/// The queues of one device. Memory holds a share: it is freed in the order of the compute stream.
struct Streams {
  explicit Streams(Place place);
  int ordinal;
  int index;
  Stream compute;        ///< kernels, and copies that kernels are ordered with
  Stream communication;  ///< collectives, beside the kernels
  Stream copy;           ///< copies between devices, beside the kernels
  Event fence;           ///< for order() between these
  MemoryBudget memory;
  MonitoredWait monitors;  ///< of who waits for the device
};

/// Zeroed memory of the card's pool, ready for every stream. 256-byte aligned.
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
