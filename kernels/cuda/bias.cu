#include "cohort/kernels/cuda/bias.h"

#include "cohort/kernels/cuda/elementwise.cuh"

namespace cohort::cuda {
namespace {

template <class T>
struct AddBias {
  int64_t channels;
  const T* bias;
  bool relu;
  __device__ T operator()(int64_t i, T y) const {
    using C = Compute<T>;
    const C sum = static_cast<C>(y) + static_cast<C>(bias[i % channels]);
    return static_cast<T>(relu && sum < C(0) ? C(0) : sum);
  }
};

}  // namespace

bool add_bias(DType dtype, int64_t rows, int64_t channels, const void* bias, bool relu, void* y,
              cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    auto* data = static_cast<T*>(y);
    launch_walk("bias", flat_walk(1, rows * channels),
                AddBias<T>{channels, static_cast<const T*>(bias), relu}, stream, data,
                static_cast<const T*>(data));
  });
}

}  // namespace cohort::cuda
