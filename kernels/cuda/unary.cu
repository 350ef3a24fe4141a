#include "cohort/kernels/cuda/elementwise.cuh"
#include "cohort/kernels/cuda/elementwise.h"

namespace cohort::cuda {
namespace {

template <class C>
__device__ C sigmoid(C x) {
  if (x >= C(0)) return C(1) / (C(1) + exp(-x));
  const C e = exp(x);
  return e / (C(1) + e);
}

// For double, float and int64_t, in which integers are computed.
template <class C>
__device__ C apply_number(UnaryOp op, C x) {
  switch (op) {
    case UnaryOp::kNeg:
      return -x;
    case UnaryOp::kAbs:
      return x < C(0) ? -x : x == C(0) ? C(0) : x;
    case UnaryOp::kSign:
      return x > C(0) ? C(1) : x < C(0) ? C(-1) : x;
    case UnaryOp::kSquare:
      return x * x;
    default:  // kRelu
      return x < C(0) ? C(0) : x;
  }
}

template <class C>
__device__ C apply_floating(UnaryOp op, C x) {
  switch (op) {
    case UnaryOp::kExp:
      return exp(x);
    case UnaryOp::kExpm1:
      return expm1(x);
    case UnaryOp::kLog:
      return log(x);
    case UnaryOp::kLog1p:
      return log1p(x);
    case UnaryOp::kSqrt:
      return sqrt(x);
    case UnaryOp::kRsqrt:
      return C(1) / sqrt(x);
    case UnaryOp::kReciprocal:
      return C(1) / x;
    case UnaryOp::kSin:
      return sin(x);
    case UnaryOp::kCos:
      return cos(x);
    case UnaryOp::kTanh:
      return tanh(x);
    case UnaryOp::kSigmoid:
      return sigmoid(x);
    case UnaryOp::kErf:
      return erf(x);
    case UnaryOp::kSoftplus:
      return (x > C(0) ? x : C(0)) + log1p(exp(-fabs(x)));
    case UnaryOp::kFloor:
      return floor(x);
    case UnaryOp::kCeil:
      return ceil(x);
    case UnaryOp::kRound:
      return nearbyint(x);
    default:
      return apply_number(op, x);
  }
}

// The op is data, not a template argument: a uniform branch costs less than the memory traffic, and
// one kernel per type keeps the module small.
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
