#include "cohort/kernels/cuda/wait.h"

#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

/// `query` is cudaErrorNotReady while there is work; `block` waits for its end.
template <class Query, class Block>
void wait_until_done(const Streams& streams, const char* what, Query&& query, Block&& block) {
  if (!streams.monitors.has_monitors()) {
    check(block(), what);
    return;
  }
  cudaError_t status = cudaSuccess;
  streams.monitors.until([&] {
    status = query();
    if (status != cudaErrorNotReady) return true;
    (void)cudaGetLastError();  // it would be taken for the next launch's
    return false;
  });
  check(status, what);
}

}  // namespace

void wait_for_compute(const Streams& streams) {
  wait_until_done(
      streams, "synchronize", [&] { return cudaStreamQuery(streams.compute); },
      [&] { return cudaStreamSynchronize(streams.compute); });
}

void wait_for(const Streams& streams, cudaEvent_t event) {
  wait_until_done(
      streams, "wait for a copy", [&] { return cudaEventQuery(event); },
      [&] { return cudaEventSynchronize(event); });
}

void finish_device() { (void)cudaDeviceSynchronize(); }

}  // namespace cohort::cuda
