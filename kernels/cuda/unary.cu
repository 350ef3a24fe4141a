#include "cohort/kernels/cuda/elementwise.cuh"
#include "cohort/kernels/cuda/elementwise.h"
#include "cohort/kernels/cuda/scalar_ops.cuh"

namespace cohort::cuda {
namespace {

struct Unary {
  UnaryOp op;
  template <class T>
  __device__ T operator()(int64_t, T x) const {
    if constexpr (kIsFloating<T>)
      return static_cast<T>(apply_floating(op, static_cast<Compute<T>>(x)));
    else
      return static_cast<T>(apply_number(op, static_cast<int64_t>(x)));
  }
};

struct IsFinite {
  template <class T>
  __device__ bool operator()(int64_t, T x) const {
    return isfinite(static_cast<Compute<T>>(x));
  }
};

struct Not {
  __device__ bool operator()(int64_t, bool x) const { return !x; }
};

template <class F, class Out, class In>
void launch_one(const char* where, F f, const void* x, Out* y, int64_t n, cudaStream_t stream,
                Tag<In>) {
  launch_walk(where, flat_walk(1, n), f, stream, y, static_cast<const In*>(x));
}

}  // namespace

bool unary(UnaryOp op, DType dtype, const void* x, void* y, int64_t n, cudaStream_t stream) {
  const auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_one("unary", Unary{op}, x, static_cast<T*>(y), n, stream, tag);
  };
  return op <= UnaryOp::kRelu ? visit_number(dtype, run) : visit_floating(dtype, run);
}

void logical_not(const bool* x, bool* y, int64_t n, cudaStream_t stream) {
  launch_one("logical_not", Not{}, x, y, n, stream, Tag<bool>{});
}

bool is_finite(DType dtype, const void* x, bool* y, int64_t n, cudaStream_t stream) {
  return visit_floating(
      dtype, [&](auto tag) { launch_one("is_finite", IsFinite{}, x, y, n, stream, tag); });
}

}  // namespace cohort::cuda
