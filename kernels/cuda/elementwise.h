#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/fault.h"
#include "cohort/kernels/cuda/walk.h"

// Elementwise work on device memory. Each function enqueues it and returns false when it does not
// take the dtype.
namespace cohort::cuda {

enum class UnaryOp {
  kNeg,
  kAbs,
  kSign,
  kSquare,
  kRelu,  // integers too
  kExp,
  kExpm1,
  kLog,
  kLog1p,
  kSqrt,
  kRsqrt,
  kReciprocal,
  kSin,
  kCos,
  kTanh,
  kSigmoid,
  kErf,
  kSoftplus,
  kFloor,
  kCeil,
  kRound,
};
enum class BinaryOp {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorMod,
  kPow,
  kMaximum,
  kMinimum,
  kSquaredDifference,
  kReluGrad,
  kSigmoidGrad,
  kTanhGrad,
};
enum class CompareOp { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kAnd, kOr };

bool unary(UnaryOp op, DType dtype, const void* x, void* y, int64_t n, cudaStream_t stream);
/// Where integer division meets a divisor 0, it reports `site` with the element's index.
struct DivisionFault {
  Fault* fault = nullptr;
  int site = 0;
};
bool binary(BinaryOp op, DType dtype, const Walk& walk, const void* a, const void* b, void* y,
            DivisionFault division, cudaStream_t stream);
/// kAnd and kOr take bool alone.
bool compare(CompareOp op, DType dtype, const Walk& walk, const void* a, const void* b, bool* y,
             cudaStream_t stream);
void logical_not(const bool* x, bool* y, int64_t n, cudaStream_t stream);
bool is_finite(DType dtype, const void* x, bool* y, int64_t n, cudaStream_t stream);
void select(int element_bytes, const Walk& walk, const bool* condition, const void* a,
            const void* b, void* y, cudaStream_t stream);
void cast(DType from, const void* x, DType to, void* y, int64_t n, cudaStream_t stream);
/// y = a b + c, rounded once.
bool multiply_add(DType dtype, const Walk& walk, const void* a, const void* b, const void* c,
                  void* y, cudaStream_t stream);
/// sum += x, elementwise.
bool accumulate(DType dtype, const void* x, void* sum, int64_t n, cudaStream_t stream);

}  // namespace cohort::cuda
