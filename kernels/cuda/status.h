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

/// What a kernel launch left behind in this thread: bad launch arguments, or the failure of earlier
/// asynchronous work.
void check_launch(const char* where);

}  // namespace cohort::cuda
