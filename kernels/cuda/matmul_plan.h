#pragma once

#include <optional>

#include "cohort/core/dtype.h"
#include "cohort/kernels/cuda/device.h"

namespace cohort::cuda {

enum class Epilogue { kNone, kBias, kBiasRelu };

/// One product of row-major matrices, or a stack of equal ones whose operands advance by strides
/// (in elements; 0 repeats): y [M, N] = a b, a [M, K] or with transpose_a [K, M], b [K, N] or with
/// transpose_b [N, K].
struct MatMulCase {
  DType dtype;
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  int64_t count;
  int64_t stride_a, stride_b, stride_y;
  Epilogue epilogue;  ///< adds bias [N]
  int alignment;      ///< of every address, in bytes
};

/// A MatMulCase with cuBLASLt's choice of how to compute it. Only ways that give the same bits
/// every time are chosen among: none that adds with atomics.
class MatMulPlan {
 public:
  /// Nothing when cuBLASLt does not take the case.
  static std::optional<MatMulPlan> make(CudaDevice& device, const MatMulCase& c);

  size_t workspace_bytes() const { return choice_.workspaceSize; }
  void run(const void* a, const void* b, const void* bias, void* y, void* workspace);

 private:
  using Description = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;

  MatMulPlan(CudaDevice& device, const MatMulCase& c);
  bool choose(const MatMulCase& c);

  cublasLtHandle_t library_;
  cudaStream_t stream_;
  bool double_scale_;
  bool has_bias_;
  Description description_;
  Layout a_, b_, y_;
  cublasLtMatmulHeuristicResult_t choice_ = {};
};

}  // namespace cohort::cuda
