#include "cohort/kernels/cuda/tree_sum.h"

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

constexpr int kMaxDepth = 16;  // kMaxSums of merge_counts.h

// Maxima and minima as in distribute/elementwise.cc.
template <class T>
__device__ Compute<T> combined(Combine how, Compute<T> a, Compute<T> b) {
  if (how == Combine::kMax) return a < b ? b : a;
  if (how == Combine::kMin) return b < a ? b : a;
  return static_cast<Compute<T>>(static_cast<T>(a + b));
}

// Sums of complete subtrees wait on a stack until their neighbour is complete.
template <class T>
__global__ void __launch_bounds__(kThreads)
    tree_sum_kernel(int rank, int num_ranks, const uint8_t* merges, T* mine, const T* others,
                    int64_t stride, int64_t n, double divisor, Combine how) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= n) return;
  C stack[kMaxDepth];
  int depth = 0;
  for (int r = 0; r < num_ranks; ++r) {
    stack[depth++] = static_cast<C>(r == rank ? mine[i] : others[r * stride + i]);
    for (int m = merges[r]; m > 0; --m, --depth)
      stack[depth - 2] = combined<T>(how, stack[depth - 2], stack[depth - 1]);
  }
  mine[i] = static_cast<T>(divisor == 1 ? stack[0] : stack[0] / static_cast<C>(divisor));
}

}  // namespace

bool tree_sum(DType dtype, int rank, int num_ranks, const uint8_t* merges, void* mine,
              const void* others, int64_t stride, int64_t n, double divisor, cudaStream_t stream,
              Combine combine) {
  return visit_number(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("all_reduce", tree_sum_kernel<T>, n, stream, rank, num_ranks, merges,
                    static_cast<T*>(mine), static_cast<const T*>(others), stride, n, divisor,
                    combine);
  });
}

}  // namespace cohort::cuda
