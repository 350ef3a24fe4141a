#pragma once

#include "cohort/kernels/cuda/elementwise.cuh"
#include "cohort/kernels/cuda/reduction.h"

// A reduction F has
//   using Value                              what is combined
//   Value first()                            the neutral element
//   Value load(int64_t at, int64_t output)   the element at `at` of its array, for that output
//   Value merge(Value, Value)                associative
//   void store(Value, int64_t output)        ends an output
// Every output is combined in one fixed order.
namespace cohort::cuda {

inline constexpr int kRows = kThreads / kWarp;

struct Span {
  int64_t begin, end;
};
__device__ inline Span part_of(int64_t n, int64_t parts, int64_t part) {
  return {n * part / parts, n * (part + 1) / parts};
}

/// What the threads of a block's rows hold for each lane, combined; the first row gets it.
template <class F, class Value>
__device__ Value reduce_rows_of_block(const F& f, Value value, int row, int lane,
                                      Value (*shared)[kWarp]) {
  shared[row][lane] = value;
  for (int half = kRows / 2; half > 0; half /= 2) {
    __syncthreads();
    if (row < half) shared[row][lane] = f.merge(shared[row][lane], shared[row + half][lane]);
  }
  return shared[row][lane];
}

// One output for each lane; the warps of a block take the elements in turn.
template <class F>
__global__ void __launch_bounds__(kThreads)
    reduce_columns_kernel(F f, Reduction r, typename F::Value* partials) {
  using Value = typename F::Value;
  __shared__ Value shared[kRows][kWarp];
  const int64_t outputs = r.num_outputs();
  const int64_t column_blocks = ceil_div(outputs, kWarp);
  const int lane = threadIdx.x % kWarp;
  const int row = threadIdx.x / kWarp;
  const int64_t split = blockIdx.x / column_blocks;
  const int64_t output = blockIdx.x % column_blocks * kWarp + lane;
  Value value = f.first();
  if (output < outputs) {
    const int64_t base = place(r.kept, 0, output);
    const Span span = part_of(r.num_reduced(), r.splits, split);
    for (int64_t i = span.begin + row; i < span.end; i += kRows)
      value = f.merge(value, f.load(base + place(r.reduced, 0, i), output));
  }
  value = reduce_rows_of_block(f, value, row, lane, shared);
  if (row != 0 || output >= outputs) return;
  if (r.splits > 1)
    partials[split * outputs + output] = value;
  else
    f.store(value, output);
}

/// What all threads of the block hold, combined in shared memory; every thread gets it.
template <class F, class Value>
__device__ Value reduce_block(const F& f, Value value, Value* shared) {
  shared[threadIdx.x] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half)
      shared[threadIdx.x] = f.merge(shared[threadIdx.x], shared[threadIdx.x + half]);
  }
  __syncthreads();
  const Value result = shared[0];
  __syncthreads();
  return result;
}

// One output for each block.
template <class F>
__global__ void __launch_bounds__(kThreads)
    reduce_block_kernel(F f, Reduction r, typename F::Value* partials) {
  using Value = typename F::Value;
  __shared__ Value shared[kThreads];
  const int64_t outputs = r.num_outputs();
  const int64_t output = blockIdx.x % outputs;
  const int64_t split = blockIdx.x / outputs;
  const int64_t base = place(r.kept, 0, output);
  const Span span = part_of(r.num_reduced(), r.splits, split);
  Value value = f.first();
  for (int64_t i = span.begin + threadIdx.x; i < span.end; i += kThreads)
    value = f.merge(value, f.load(base + place(r.reduced, 0, i), output));
  value = reduce_block(f, value, shared);
  if (threadIdx.x != 0) return;
  if (r.splits > 1)
    partials[split * outputs + output] = value;
  else
    f.store(value, output);
}

// The second pass: partial results [splits, outputs]. The rows of a block take splits in turn.
template <class F>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(F f, int64_t outputs, int64_t splits, const typename F::Value* partials) {
  using Value = typename F::Value;
  __shared__ Value shared[kRows][kWarp];
  const int lane = threadIdx.x % kWarp;
  const int row = threadIdx.x / kWarp;
  const int64_t output = static_cast<int64_t>(blockIdx.x) * kWarp + lane;
  Value value = f.first();
  if (output < outputs) {
#pragma unroll 16  // loads in flight
    for (int64_t split = row; split < splits; split += kRows)
      value = f.merge(value, partials[split * outputs + output]);
  }
  value = reduce_rows_of_block(f, value, row, lane, shared);
  if (row == 0 && output < outputs) f.store(value, output);
}

/// `workspace` holds r.workspace_bytes(sizeof(F::Value)).
template <class F>
void launch_reduction(const char* where, F f, const Reduction& r, void* workspace,
                      cudaStream_t stream) {
  auto* partials = static_cast<typename F::Value*>(workspace);
  if (r.columns)
    launch(where, reduce_columns_kernel<F>, ceil_div(r.num_outputs(), kWarp) * r.splits, kThreads,
           stream, f, r, partials);
  else
    launch(where, reduce_block_kernel<F>, r.num_outputs() * r.splits, kThreads, stream, f, r,
           partials);
  if (r.splits > 1)
    launch(where, combine_kernel<F>, ceil_div(r.num_outputs(), kWarp), kThreads, stream, f,
           r.num_outputs(), r.splits, static_cast<const typename F::Value*>(partials));
}

}  // namespace cohort::cuda
