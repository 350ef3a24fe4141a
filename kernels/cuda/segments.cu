#include "cohort/kernels/cuda/segments.h"

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

/// What the threads of a block hold, added in a tree; the first has it.
__device__ double sum_block(double value, double* shared) {
  shared[threadIdx.x] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
  }
  return shared[threadIdx.x];
}

// A block for each line.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_lines_kernel(const T* x, const SumLine* lines, int64_t elements, double* sums) {
  __shared__ double shared[kThreads];
  const int64_t line = blockIdx.x;
  int64_t begin = line * kLineElements;
  int64_t count = elements - begin < kLineElements ? elements - begin : kLineElements;
  if (lines) {
    begin = lines[line].begin;
    count = lines[line].count;
  }
  double sum = 0;
#pragma unroll 4  // loads in flight
  for (int64_t i = threadIdx.x; i < count; i += kThreads)
    sum += static_cast<double>(static_cast<Compute<T>>(x[begin + i]));
  sum = sum_block(sum, shared);
  if (threadIdx.x == 0) sums[line] = sum;
}

// A block for each segment.
template <class T>
__global__ void __launch_bounds__(kThreads)
    total_lines_kernel(const double* sums, __grid_constant__ const SegmentScalars segments) {
  __shared__ double shared[kThreads];
  const int segment = static_cast<int>(blockIdx.x);
  double sum = 0;
#pragma unroll 4
  for (int64_t i = segments.begin[segment] + threadIdx.x; i < segments.end[segment]; i += kThreads)
    sum += sums[i];
  sum = sum_block(sum, shared);
  if (threadIdx.x == 0)
    *static_cast<T*>(segments.scalar[segment]) = static_cast<T>(static_cast<Compute<T>>(sum));
}

// Segments lie one behind the other.
template <class T>
__global__ void __launch_bounds__(kThreads)
    spread_kernel(__grid_constant__ const SegmentScalars segments, T* y) {
  const int64_t i = segments.begin[0] + element_index();
  if (i >= segments.end[segments.count - 1]) return;
  int low = 0;
  for (int high = segments.count; high - low > 1;) {
    const int middle = (low + high) / 2;
    (segments.begin[middle] <= i ? low : high) = middle;
  }
  if (i < segments.end[low]) y[i] = *static_cast<const T*>(segments.scalar[low]);
}

}  // namespace

bool sum_lines(DType dtype, const void* x, const SumLine* lines, int64_t num_lines,
               int64_t elements, double* sums, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("sum_lines", sum_lines_kernel<T>, num_lines, kThreads, stream, static_cast<const T*>(x),
           lines, elements, sums);
  });
}

bool total_lines(DType dtype, const double* sums, const SegmentScalars& segments,
                 cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("total_lines", total_lines_kernel<T>, segments.count, kThreads, stream, sums, segments);
  });
}

bool spread(DType dtype, const SegmentScalars& segments, void* y, cudaStream_t stream) {
  if (segments.count == 0) return true;
  const int64_t n = segments.end[segments.count - 1] - segments.begin[0];
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("spread", spread_kernel<T>, n, stream, segments, static_cast<T*>(y));
  });
}

}  // namespace cohort::cuda
