#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cohort/kernels/cuda/fault.h"

namespace cohort::cuda {

void check(cudaError_t status, const char* where);  // kernels/cuda/status.h

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;

__host__ __device__ constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Enqueues kernel<<<blocks, threads>>> (as a call, which any C++ compiler reads); no blocks is no
/// work.
template <class... Parameters, class... Arguments>
void launch(const char* where, void (*kernel)(Parameters...), int64_t blocks, int threads,
            cudaStream_t stream, Arguments... arguments) {
  if (blocks <= 0) return;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), where);
}

/// One thread for each of n elements: kernels begin with `i = element_index(); if (i >= n) return`.
template <class... Parameters, class... Arguments>
void launch_elements(const char* where, void (*kernel)(Parameters...), int64_t n,
                     cudaStream_t stream, Arguments... arguments) {
  launch(where, kernel, ceil_div(n, kThreads), kThreads, stream, arguments...);
}

__device__ inline int64_t element_index() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

/// Keeps the first fault only.
__device__ inline void report(Fault* fault, int site, int64_t got, int64_t index, int64_t limit) {
  if (atomicCAS(&fault->site, 0, site) != 0) return;
  fault->got = got;
  fault->index = index;
  fault->limit = limit;
}

}  // namespace cohort::cuda
