#include "cohort/kernels/cuda/nccl/library.h"

namespace cohort::cuda {

Code code_of(ncclResult_t status) {
  switch (status) {
    case ncclRemoteError:
    case ncclSystemError:
      return Code::kUnavailable;
    case ncclInvalidArgument:
    case ncclInvalidUsage:
      return Code::kInvalidArgument;
    default:
      return Code::kInternal;
  }
}

void check(ncclResult_t status, const char* where) {
  if (status != ncclSuccess && status != ncclInProgress)
    throw Error(code_of(status),
                fmt::format("{}: NCCL says {}", where, ncclGetErrorString(status)));
}

std::optional<ncclDataType_t> data_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return ncclFloat32;
    case DType::kF16:
      return ncclFloat16;
    case DType::kBF16:
      return ncclBfloat16;
    case DType::kF64:
      return ncclFloat64;
    case DType::kI32:
      return ncclInt32;
    case DType::kI64:
      return ncclInt64;
    case DType::kU8:
      return ncclUint8;
    case DType::kI8:
      return ncclInt8;
    default:
      return {};
  }
}

ncclRedOp_t library_op(ops::ReduceOp op) {
  switch (op) {
    case ops::ReduceOp::kMax:
      return ncclMax;
    case ops::ReduceOp::kMin:
      return ncclMin;
    default:
      return ncclSum;
  }
}

}  // namespace cohort::cuda
