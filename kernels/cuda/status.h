#pragma once

#include <cublasLt.h>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

/// Statuses of the CUDA libraries as Errors. Out of memory is ResourceExhausted, a missing driver
/// or device FailedPrecondition, what a library does not support Unimplemented, anything else
/// Internal. (NCCL's are in the one file that may include nccl.h.)
namespace cohort::cuda {

/// Throws unless `status` is success; `where` begins the message.
void check(cudaError_t status, const char* where);
void check(CUresult status, const char* where);
void check(cublasStatus_t status, const char* where);
void check(cudnnStatus_t status, const char* where);

}  // namespace cohort::cuda
