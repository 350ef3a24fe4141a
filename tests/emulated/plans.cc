#include "cohort/kernels/cuda/conv_plan.h"
#include "cohort/kernels/cuda/matmul_plan.h"
#include "tests/emulated/streams.h"

// In place of the plans that ask cuBLASLt and cuDNN: the host multiplies, and no convolution is
// taken, so that the project's own kernels serve.

struct cublasLtMatmulDescOpaque_t {
  cohort::cuda::MatMulCase c;
};

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  delete description;
  return CUBLAS_STATUS_SUCCESS;
}

namespace cohort::cuda {
namespace {

// Sums of 16-bit products are f32's, as the library's are.
template <class T>
void multiply(const MatMulCase& c, const T* a, const T* b, T* y) {
  using Sum = std::conditional_t<sizeof(T) == 8, double, float>;
  for (int64_t count = 0; count < c.count; ++count)
    for (int64_t i = 0; i < c.m; ++i)
      for (int64_t j = 0; j < c.n; ++j) {
        Sum sum = 0;
        for (int64_t k = 0; k < c.k; ++k)
          sum +=
              static_cast<Sum>(
                  a[count * c.stride_a + (c.transpose_a ? k * c.m + i : i * c.k + k)]) *
              static_cast<Sum>(b[count * c.stride_b + (c.transpose_b ? j * c.k + k : k * c.n + j)]);
        y[count * c.stride_y + i * c.n + j] = static_cast<T>(sum);
      }
}

}  // namespace

MatMulPlan::MatMulPlan(CudaDevice& device, const MatMulCase& c)
    : library_(device.cublas()),
      stream_(device.compute_stream()),
      double_scale_(c.dtype == DType::kF64),
      has_bias_(false),
      description_(new cublasLtMatmulDescOpaque_t{c}) {}

std::optional<MatMulPlan> MatMulPlan::make(CudaDevice& device, const MatMulCase& c) {
  if (c.epilogue != Epilogue::kNone) return std::nullopt;  // the project's kernel adds it
  return MatMulPlan(device, c);
}

void MatMulPlan::run(const void* a, const void* b, const void*, void* y, void*) {
  const std::lock_guard hold(emulated::lock());
  emulated::enqueue(stream_, [c = description_.get()->c, a, b, y] {
    visit_dtype(c.dtype, [&](auto type) {
      using T = decltype(type);
      if constexpr (!std::is_integral_v<T>)
        multiply(c, static_cast<const T*>(a), static_cast<const T*>(b), static_cast<T*>(y));
    });
  });
}

std::optional<ConvPlan> ConvPlan::make(CudaDevice&, DType, const Window&, ConvPass) {
  return std::nullopt;
}

void ConvPlan::run(const void*, const void*, void*, void*) {}

}  // namespace cohort::cuda
