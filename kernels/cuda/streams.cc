#include "cohort/kernels/cuda/streams.h"

#include <cudaTypedefs.h>

#include <algorithm>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/wait.h"

namespace cohort::cuda {
namespace {

Stream make_stream(int priority) {
  Stream stream;
  // Non-blocking: the legacy default stream of some other library must not serialise with us.
  check(cudaStreamCreateWithPriority(stream.receive(), cudaStreamNonBlocking, priority),
        "cudaStreamCreateWithPriority");
  return stream;
}

cudaMemPool_t pool_of(int ordinal) {
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, ordinal), "cudaDeviceGetDefaultMemPool");
  return pool;
}

// Memory freed to the pool stays there, so that set-up after a recompilation costs no system call.
void keep_freed_memory(int ordinal) {
  uint64_t threshold = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool_of(ordinal), cudaMemPoolAttrReleaseThreshold, &threshold),
        "cudaMemPoolSetAttribute");
}

// Whether this process has used the device. A driver that cannot be asked counts as yes.
bool has_context(int ordinal) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t status = cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &found,
                                                              7000, cudaEnableDefault, &result);
  if (status != cudaSuccess || result != cudaDriverEntryPointSuccess || !found) return true;
  unsigned flags = 0;
  int active = 0;
  const auto state_of = reinterpret_cast<PFN_cuDevicePrimaryCtxGetState_v7000>(found);
  return state_of(ordinal, &flags, &active) != CUDA_SUCCESS || active != 0;
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
  changed_ = previous_ != ordinal;
  if (changed_) check(cudaSetDevice(ordinal), "cudaSetDevice");
}

DeviceGuard::~DeviceGuard() {
  if (changed_ && has_context(previous_)) (void)cudaSetDevice(previous_);
}

bool MemoryBudget::take(size_t bytes) {
  size_t taken = taken_.load();
  do {
    if (limit_ > 0 && (taken > limit_ || bytes > limit_ - taken)) return false;
  } while (!taken_.compare_exchange_weak(taken, taken + bytes));
  return true;
}

std::string MemoryBudget::to_text() const {
  return limit_ == 0 ? "" : fmt::format(": {} of its limit of {} are taken", taken_.load(), limit_);
}

Streams::Streams(Place place)
    : ordinal(place.ordinal), index(place.index), memory(place.memory_limit) {
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
  cudaError_t status = cudaErrorMemoryAllocation;
  if (streams->memory.take(size)) {
    status = take_or_trim(*streams, cudaErrorMemoryAllocation, [&] {
      const cudaError_t taken = cudaMallocAsync(&data, size, streams->compute);
      if (taken != cudaSuccess) (void)cudaGetLastError();
      return taken;
    });
    if (status != cudaSuccess) streams->memory.give_back(size);
  }
  if (status == cudaErrorMemoryAllocation)
    throw ResourceExhausted("allocate: gpu:{} has no {} bytes left{}", streams->index, bytes,
                            streams->memory.to_text());
  check(status, "cudaMallocAsync");
  const auto release = [streams, size](void* memory) {
    streams->memory.give_back(size);
    try {
      DeviceGuard there(streams->ordinal);
      (void)cudaFreeAsync(memory, streams->compute);
    } catch (const Error&) {  // the device is gone, and its memory with it
    }
  };
  std::shared_ptr<void> memory(data, release);
  check(cudaMemsetAsync(data, 0, size, streams->compute), "cudaMemsetAsync");
  wait_for_compute(*streams);
  return memory;
}

void trim_pool(const Streams& streams) {
  DeviceGuard guard(streams.ordinal);
  wait_for_compute(streams);
  check(cudaMemPoolTrimTo(pool_of(streams.ordinal), 0), "cudaMemPoolTrimTo");
}

}  // namespace cohort::cuda
