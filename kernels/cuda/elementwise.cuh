#pragma once

#include <utility>

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"
#include "cohort/kernels/cuda/walk.h"

// y[i] = f(i, a[...], b[...], ...) over a Walk, one thread for each element: a warp's accesses are
// whole lines, and many warps in flight hide the memory's latency.
namespace cohort::cuda {

template <class Index>
__device__ inline int64_t place_by_axes(const Walk& walk, int k, Index rest) {
  int64_t offset = 0;
  for (int axis = walk.rank - 1; axis > 0; --axis) {
    const Index next = rest / walk.sizes[axis];
    offset += static_cast<int64_t>(rest - next * walk.sizes[axis]) * walk.strides[k][axis];
    rest = next;
  }
  return offset + static_cast<int64_t>(rest) * walk.strides[k][0];
}

/// The place of element `i` in array k of the walk. A flat walk needs no division, one of less than
/// 2^32 elements none of 64 bits.
__device__ inline int64_t place(const Walk& walk, int k, int64_t i) {
  if (walk.rank <= 1) return i * walk.strides[k][0];
  return walk.num_elements <= UINT32_MAX ? place_by_axes(walk, k, static_cast<uint32_t>(i))
                                         : place_by_axes(walk, k, static_cast<uint64_t>(i));
}

template <class F, class Out, class... In, size_t... Arg>
__device__ void walk_element(const Walk& walk, F f, int64_t i, Out* out,
                             std::index_sequence<Arg...>, const In*... in) {
  out[i] = f(i, in[place(walk, Arg, i)]...);
}

template <class F, class Out, class... In>
__global__ void __launch_bounds__(kThreads) walk_kernel(Walk walk, F f, Out* out, const In*... in) {
  const int64_t i = element_index();
  if (i < walk.num_elements) walk_element(walk, f, i, out, std::index_sequence_for<In...>{}, in...);
}

/// Enqueues out[i] = f(i, in...) for all elements of the walk.
template <class F, class Out, class... In>
void launch_walk(const char* where, const Walk& walk, F f, cudaStream_t stream, Out* out,
                 const In*... in) {
  launch_elements(where, walk_kernel<F, Out, In...>, walk.num_elements, stream, walk, f, out,
                  in...);
}

/// A walk over `arrays` arrays of n elements each, side by side.
inline Walk flat_walk(int arrays, int64_t n) {
  Walk walk;
  walk.rank = 1;
  walk.num_arrays = arrays;
  walk.num_elements = n;
  for (int k = 0; k < arrays; ++k) walk.strides[k][0] = 1;
  return walk;
}

}  // namespace cohort::cuda
