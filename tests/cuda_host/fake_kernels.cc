// Kernels whose host code these tests run, as loops.
#include <vector>

#include "cohort/core/error.h"
#include "cohort/kernels/cuda/tree_sum.h"

namespace cohort::cuda {
namespace {

template <class T>
void sum(int rank, int num_ranks, const uint8_t* merges, T* mine, const T* others, int64_t stride,
         int64_t n, double divisor) {
  for (int64_t i = 0; i < n; ++i) {
    std::vector<T> stack;
    for (int r = 0; r < num_ranks; ++r) {
      stack.push_back(r == rank ? mine[i] : others[r * stride + i]);
      for (int m = merges[r]; m > 0; --m) {
        const T top = stack.back();
        stack.pop_back();
        stack.back() += top;
      }
    }
    mine[i] = divisor == 1 ? stack[0] : stack[0] / static_cast<T>(divisor);
  }
}

}  // namespace

bool tree_sum(DType dtype, int rank, int num_ranks, const uint8_t* merges, void* mine,
              const void* others, int64_t stride, int64_t n, double divisor, cudaStream_t) {
  if (dtype == DType::kF32)
    sum(rank, num_ranks, merges, static_cast<float*>(mine), static_cast<const float*>(others),
        stride, n, divisor);
  else if (dtype == DType::kI32)
    sum(rank, num_ranks, merges, static_cast<int32_t*>(mine), static_cast<const int32_t*>(others),
        stride, n, divisor);
  else
    return false;
  return true;
}

}  // namespace cohort::cuda
