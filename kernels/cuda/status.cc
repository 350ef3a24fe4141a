#include "cohort/kernels/cuda/status.h"

#include "cohort/core/error.h"

namespace cohort::cuda {
namespace {

Code code_of(cudaError_t status) {
  switch (status) {
    case cudaErrorMemoryAllocation:
      return Code::kResourceExhausted;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInitializationError:
    case cudaErrorSystemDriverMismatch:
      return Code::kFailedPrecondition;
    case cudaErrorNotSupported:
      return Code::kUnimplemented;
    default:
      return Code::kInternal;
  }
}

Code code_of(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_ALLOC_FAILED:
      return Code::kResourceExhausted;
    case CUBLAS_STATUS_NOT_SUPPORTED:
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return Code::kUnimplemented;
    default:
      return Code::kInternal;
  }
}

// cuDNN 9 numbers its statuses in groups of thousands; the group is what matters here.
Code code_of(cudnnStatus_t status) {
  const int group = static_cast<int>(status) / 1000;
  if (status == CUDNN_STATUS_ALLOC_FAILED) return Code::kResourceExhausted;
  return group == 3 ? Code::kUnimplemented : Code::kInternal;
}

[[noreturn]] void fail(Code code, const char* where, const char* library, const char* name,
                       const char* text) {
  throw Error(code, fmt::format("{}: {} says {} ({})", where, library, name, text));
}

}  // namespace

void check(cudaError_t status, const char* where) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // an error that can be got over must not show up again elsewhere
  fail(code_of(status), where, "CUDA", cudaGetErrorName(status), cudaGetErrorString(status));
}

void check(CUresult status, const char* where) {
  if (status == CUDA_SUCCESS) return;
  const Code code = status == CUDA_ERROR_OUT_OF_MEMORY ? Code::kResourceExhausted : Code::kInternal;
  throw Error(code, fmt::format("{}: the CUDA driver says {}", where, static_cast<int>(status)));
}

void check(cublasStatus_t status, const char* where) {
  if (status != CUBLAS_STATUS_SUCCESS)
    fail(code_of(status), where, "cuBLASLt", cublasLtGetStatusName(status),
         cublasLtGetStatusString(status));
}

void check(cudnnStatus_t status, const char* where) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char text[512] = "";
  cudnnGetLastErrorString(text, sizeof text);
  fail(code_of(status), where, "cuDNN", cudnnGetErrorString(status), text);
}

}  // namespace cohort::cuda
