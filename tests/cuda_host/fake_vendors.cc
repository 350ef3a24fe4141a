// What the module takes from cuBLASLt and cuDNN, and from its own kernels, in these tests.
#include <cublasLt.h>
#include <cudnn.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "cohort/kernels/cuda/copy.h"
#include "cohort/kernels/cuda/tree_sum.h"
#include "tests/cuda_host/fake_cuda.h"

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t*) { return CUBLAS_STATUS_NOT_SUPPORTED; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasLtGetStatusName(cublasStatus_t) { return "status"; }
const char* cublasLtGetStatusString(cublasStatus_t) { return "a fake status"; }
cudnnStatus_t cudnnCreate(cudnnHandle_t*) { return CUDNN_STATUS_NOT_SUPPORTED; }
cudnnStatus_t cudnnDestroy(cudnnHandle_t) { return CUDNN_STATUS_SUCCESS; }
cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; }
const char* cudnnGetErrorString(cudnnStatus_t) { return "a fake status"; }
void cudnnGetLastErrorString(char* text, size_t bytes) { std::memset(text, 0, bytes); }

}  // extern "C"

namespace cohort::cuda {

void fill(int element_bytes, uint64_t pattern, void* to, int64_t n, cudaStream_t) {
  int device = 0;
  (void)cudaGetDevice(&device);
  if (!testing::fake_cuda().devices[static_cast<size_t>(device)].kernels_run) return;
  for (int64_t i = 0; i < n; ++i)
    std::memcpy(static_cast<char*>(to) + i * element_bytes, &pattern,
                static_cast<size_t>(element_bytes));
}

void store_bytes(void* to, const void* from, size_t bytes, cudaStream_t) {
  std::memcpy(to, from, bytes);
}

bool tree_sum(DType, int rank, int num_ranks, const uint8_t* merges, void* mine, const void* others,
              int64_t stride, int64_t n, double divisor, cudaStream_t, Combine combine) {
  auto* result = static_cast<float*>(mine);
  const auto add = [combine](float a, float b) {
    if (combine == Combine::kMax) return std::max(a, b);
    return combine == Combine::kMin ? std::min(a, b) : a + b;
  };
  for (int64_t i = 0; i < n; ++i) {
    std::vector<float> sums;
    for (int r = 0; r < num_ranks; ++r) {
      sums.push_back(r == rank ? result[i] : static_cast<const float*>(others)[r * stride + i]);
      for (int m = merges[r]; m > 0; --m) {
        const float right = sums.back();
        sums.pop_back();
        sums.back() = add(sums.back(), right);
      }
    }
    result[i] = sums[0] / static_cast<float>(divisor);
  }
  return true;
}

}  // namespace cohort::cuda
