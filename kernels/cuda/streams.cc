#include "cohort/kernels/cuda/streams.h"

#include <algorithm>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

Stream make_stream(int priority) {
  Stream stream;
  // Non-blocking: the legacy default stream of some other library must not serialise with us.
  check(cudaStreamCreateWithPriority(stream.receive(), cudaStreamNonBlocking, priority),
        "cudaStreamCreateWithPriority");
  return stream;
}

// Memory freed to the pool stays there, so that set-up after a recompilation costs no system call.
void keep_freed_memory(int ordinal) {
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, ordinal), "cudaDeviceGetDefaultMemPool");
  uint64_t threshold = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold),
        "cudaMemPoolSetAttribute");
}

}  // namespace

Event make_event() {
  Event event;
  check(cudaEventCreateWithFlags(event.receive(), cudaEventDisableTiming),
        "cudaEventCreateWithFlags");
  return event;
}

void order(cudaStream_t earlier, cudaStream_t later, cudaEvent_t event) {
  check(cudaEventRecord(event, earlier), "cudaEventRecord");
  check(cudaStreamWaitEvent(later, event, 0), "cudaStreamWaitEvent");
}

DeviceGuard::DeviceGuard(int ordinal) {
  check(cudaGetDevice(&previous_), "cudaGetDevice");
  if (previous_ != ordinal) check(cudaSetDevice(ordinal), "cudaSetDevice");
}

DeviceGuard::~DeviceGuard() { (void)cudaSetDevice(previous_); }

Streams::Streams(int ordinal) : ordinal(ordinal) {
  DeviceGuard guard(ordinal);
  int least = 0;
  int greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
  compute = make_stream(least);
  // Others wait for a collective's chunks, so its blocks go first.
  communication = make_stream(greatest);
  copy = make_stream(least);
  fence = make_event();
  keep_freed_memory(ordinal);
}

std::shared_ptr<void> allocate(std::shared_ptr<Streams> streams, size_t bytes) {
  DeviceGuard guard(streams->ordinal);
  const size_t size = std::max<size_t>(bytes, 1);
  void* data = nullptr;
  const cudaError_t status = cudaMallocAsync(&data, size, streams->compute);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    throw ResourceExhausted("allocate: gpu:{} has no {} bytes left", streams->ordinal, bytes);
  }
  check(status, "cudaMallocAsync");
  const auto release = [streams](void* memory) {
    int previous = 0;
    (void)cudaGetDevice(&previous);
    (void)cudaSetDevice(streams->ordinal);
    (void)cudaFreeAsync(memory, streams->compute);
    (void)cudaSetDevice(previous);
  };
  std::shared_ptr<void> memory(data, release);
  check(cudaMemsetAsync(data, 0, size, streams->compute), "cudaMemsetAsync");
  check(cudaStreamSynchronize(streams->compute), "allocate");
  return memory;
}

}  // namespace cohort::cuda
