#include "tests/emulated/mistakes.h"

#include "cohort/kernels/cuda/launch.cuh"

namespace cohort::emulated {
namespace {

using cuda::kThreads;
using cuda::kWarp;
using cuda::launch;

constexpr int kLast = kThreads - 1;

__device__ float from_shuffle(Mistake mistake, float value, int thread) {
  if (mistake == Mistake::kIncompleteShuffle && thread % kWarp == 0) return value;
  const unsigned mask = mistake == Mistake::kShuffleOutsideMask ? 0x7fffffffu : 0xffffffffu;
  if (mistake == Mistake::kShuffleOutsideMask && thread % kWarp == kWarp - 1) return value;
  return __shfl_xor_sync(mask, value, kWarp - 1);
}

// Whether the thread goes on.
__device__ bool meet(Mistake mistake, int thread) {
  if (mistake == Mistake::kMissingBarrier) return true;
  if (mistake == Mistake::kBarrierInBranch && thread % 2 == 0) return false;
  if (mistake == Mistake::kTwoBarriers && thread % 2 == 0) {
    __syncthreads();
    return true;
  }
  __syncthreads();
  return true;
}

__global__ void reverse_kernel(Mistake mistake, const float* x, float* y) {
  __shared__ float shared[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  const int base = static_cast<int>(blockIdx.x) * kThreads;
  if (mistake == Mistake::kExitBeforeBarrier && thread == kLast) return;
  const int to = mistake == Mistake::kSharedOverrun && thread == kLast ? kThreads : thread;
  if (mistake != Mistake::kUnwrittenShared || thread != kLast / 2) shared[to] = x[base + thread];
  if (!meet(mistake, thread)) return;
  float value = shared[kLast - thread];
  if (mistake >= Mistake::kIncompleteShuffle) value = from_shuffle(mistake, value, thread);
  int at = base + thread;
  if (mistake == Mistake::kOverrun && at == 2 * kThreads - 1) ++at;
  if (mistake == Mistake::kOverwritten) at = base;
  y[at] = value;
  if (mistake == Mistake::kAcrossBlocks && blockIdx.x == 1) y[at] += y[thread];
}

__global__ void warp_kernel(const int* values, int* y, int n) {
  const int i = static_cast<int>(cuda::element_index());
  const int lane = i % kWarp;
  int by_xor = values[i];
  int by_down = by_xor;
  int by_up = by_xor;
  for (int distance = 1; distance < kWarp; distance *= 2) {
    by_xor += __shfl_xor_sync(0xffffffffu, by_xor, distance);
    const int below = __shfl_down_sync(0xffffffffu, by_down, distance);
    by_down += lane + distance < kWarp ? below : 0;
    const int above = __shfl_up_sync(0xffffffffu, by_up, distance);
    by_up += lane >= distance ? above : 0;
  }
  y[i] = by_xor;
  y[n + i] = __shfl_sync(0xffffffffu, by_down, 0);
  y[2 * n + i] = __shfl_sync(0xffffffffu, by_up, kWarp - 1);
  const bool positive = values[i] > 0;
  const int votes = __builtin_popcount(__ballot_sync(0xffffffffu, positive));
  const bool agreed = __any_sync(0xffffffffu, positive) == (votes > 0) &&
                      __all_sync(0xffffffffu, positive) == (votes == kWarp);
  y[3 * n + i] = agreed ? votes : -1;
}

__global__ void atomics_kernel(const int* values, int n, int* sum, int* largest) {
  const int i = static_cast<int>(cuda::element_index());
  if (i >= n) return;
  atomicAdd(sum, values[i]);
  atomicMax(largest, values[i]);
}

}  // namespace

void reverse(Mistake mistake, const float* x, float* y, cudaStream_t stream) {
  launch("reverse", reverse_kernel, 2, kThreads, stream, mistake, x, y);
}

void warp_functions(const int* values, int* y, int n, cudaStream_t stream) {
  launch("warp_functions", warp_kernel, n / kWarp, kWarp, stream, values, y, n);
}

void atomics(const int* values, int n, int* sum, int* largest, cudaStream_t stream) {
  cuda::launch_elements("atomics", atomics_kernel, n, stream, values, n, sum, largest);
}

}  // namespace cohort::emulated
