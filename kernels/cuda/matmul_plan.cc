#include "cohort/kernels/cuda/matmul_plan.h"

#include "cohort/kernels/cuda/status.h"

// cuBLASLt counts columns first: a row-major [R, C] is its [C, R]. It is therefore asked for
// y^T = b^T a^T, with b as its first operand and a as its second; no element is moved.
namespace cohort::cuda {
namespace {

constexpr size_t kMaxWorkspaceBytes = size_t{32} << 20;

cudaDataType data_type(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return CUDA_R_16F;
    case DType::kBF16:
      return CUDA_R_16BF;
    case DType::kF64:
      return CUDA_R_64F;
    default:
      return CUDA_R_32F;
  }
}

cublasComputeType_t compute_type(DType dtype, bool allow_tf32) {
  if (dtype == DType::kF64) return CUBLAS_COMPUTE_64F;
  return dtype == DType::kF32 && allow_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
}

template <class T>
void set(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, T value) {
  check(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}

template <class T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, T value) {
  check(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value),
        "cublasLtMatrixLayoutSetAttribute");
}

template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         T value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

// A row-major matrix [rows, columns], `count` times.
void create_layout(cublasLtMatrixLayout_t* layout, const MatMulCase& c, int64_t rows,
                   int64_t columns, int64_t stride) {
  check(cublasLtMatrixLayoutCreate(layout, data_type(c.dtype), static_cast<uint64_t>(columns),
                                   static_cast<uint64_t>(rows), columns),
        "cublasLtMatrixLayoutCreate");
  set(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<int32_t>(c.count));
  set(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
}

cublasLtEpilogue_t library_epilogue(Epilogue epilogue) {
  if (epilogue == Epilogue::kNone) return CUBLASLT_EPILOGUE_DEFAULT;
  return epilogue == Epilogue::kBias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_RELU_BIAS;
}

cublasOperation_t operation(bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; }

}  // namespace

MatMulPlan::MatMulPlan(CudaDevice& device, const MatMulCase& c)
    : library_(device.cublas()),
      stream_(device.compute_stream()),
      double_scale_(c.dtype == DType::kF64),
      has_bias_(c.epilogue != Epilogue::kNone) {
  check(cublasLtMatmulDescCreate(description_.receive(), compute_type(c.dtype, device.allow_tf32()),
                                 double_scale_ ? CUDA_R_64F : CUDA_R_32F),
        "cublasLtMatmulDescCreate");
  set(description_, CUBLASLT_MATMUL_DESC_TRANSA, operation(c.transpose_b));
  set(description_, CUBLASLT_MATMUL_DESC_TRANSB, operation(c.transpose_a));
  set(description_, CUBLASLT_MATMUL_DESC_EPILOGUE, library_epilogue(c.epilogue));
  create_layout(a_.receive(), c, c.transpose_a ? c.k : c.m, c.transpose_a ? c.m : c.k, c.stride_a);
  create_layout(b_.receive(), c, c.transpose_b ? c.n : c.k, c.transpose_b ? c.k : c.n, c.stride_b);
  create_layout(y_.receive(), c, c.m, c.n, c.stride_y);
}

bool MatMulPlan::choose(const MatMulCase& c) {
  Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  check(cublasLtMatmulPreferenceCreate(preference.receive()), "cublasLtMatmulPreferenceCreate");
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMaxWorkspaceBytes);
  // In one order, and without rounding partial sums to 16 bits (the scheme OUTPUT_TYPE).
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE |
                            CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    set(preference, attribute, static_cast<uint32_t>(c.alignment));
  // The choice looks at this address' alignment and reads nothing there.
  if (has_bias_)
    set(description_, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
        reinterpret_cast<const void*>(static_cast<uintptr_t>(c.alignment)));
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(library_, description_, b_, a_, y_,
                                                               y_, preference, 1, &choice_, &found);
  return status == CUBLAS_STATUS_SUCCESS && found > 0 && choice_.state == CUBLAS_STATUS_SUCCESS;
}

std::optional<MatMulPlan> MatMulPlan::make(CudaDevice& device, const MatMulCase& c) {
  DeviceGuard guard(device.ordinal());
  MatMulPlan plan(device, c);
  if (!plan.choose(c)) return {};
  return plan;
}

void MatMulPlan::run(const void* a, const void* b, const void* bias, void* y, void* workspace) {
  if (has_bias_) set(description_, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const double one[] = {1, 0};
  const float one_float[] = {1, 0};
  const void* alpha = double_scale_ ? static_cast<const void*>(&one[0]) : &one_float[0];
  const void* beta = double_scale_ ? static_cast<const void*>(&one[1]) : &one_float[1];
  check(cublasLtMatmul(library_, description_, alpha, b, b_, a, a_, beta, y, y_, y, y_,
                       &choice_.algo, workspace, choice_.workspaceSize, stream_),
        "matmul");
}

}  // namespace cohort::cuda
