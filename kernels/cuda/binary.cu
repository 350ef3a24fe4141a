#include "cohort/kernels/cuda/elementwise.cuh"
#include "cohort/kernels/cuda/elementwise.h"
#include "cohort/kernels/cuda/scalar_ops.cuh"

namespace cohort::cuda {
namespace {

// Integers are computed in 64 bits without a sign where they may wrap.
__device__ int64_t integer_power(int64_t a, int64_t b) {
  if (b < 0) {  // 1 / a^|b|, truncated
    if (a == 1) return 1;
    return a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
  }
  uint64_t result = 1;
  for (uint64_t base = static_cast<uint64_t>(a); b > 0; b /= 2, base *= base)
    if (b % 2 == 1) result *= base;
  return static_cast<int64_t>(result);
}

__device__ int64_t integer_mod(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t r = a % b;
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

__device__ int64_t apply_integer(BinaryOp op, int64_t a, int64_t b) {
  const uint64_t ua = static_cast<uint64_t>(a);
  const uint64_t ub = static_cast<uint64_t>(b);
  switch (op) {
    case BinaryOp::kAdd:
      return static_cast<int64_t>(ua + ub);
    case BinaryOp::kSub:
      return static_cast<int64_t>(ua - ub);
    case BinaryOp::kMul:
      return static_cast<int64_t>(ua * ub);
    case BinaryOp::kDiv:
      return b == -1 ? static_cast<int64_t>(0 - ua) : a / b;
    case BinaryOp::kFloorMod:
      return integer_mod(a, b);
    case BinaryOp::kPow:
      return integer_power(a, b);
    case BinaryOp::kMaximum:
      return a >= b ? a : b;
    case BinaryOp::kMinimum:
      return a <= b ? a : b;
    case BinaryOp::kSquaredDifference:
      return static_cast<int64_t>((ua - ub) * (ua - ub));
    default:  // kReluGrad
      return b > 0 ? a : 0;
  }
}

struct FloatingBinary {
  BinaryOp op;
  template <class T>
  __device__ T operator()(int64_t, T a, T b) const {
    return static_cast<T>(
        apply_floating(op, static_cast<Compute<T>>(a), static_cast<Compute<T>>(b)));
  }
};

struct MultiplyAdd {
  template <class T>
  __device__ T operator()(int64_t, T a, T b, T c) const {
    return static_cast<T>(
        fma(static_cast<Compute<T>>(a), static_cast<Compute<T>>(b), static_cast<Compute<T>>(c)));
  }
};

struct IntegerBinary {
  BinaryOp op;
  DivisionFault division;
  template <class T>
  __device__ T operator()(int64_t i, T a, T b) const {
    if ((op == BinaryOp::kDiv || op == BinaryOp::kFloorMod) && b == 0) {
      report(division.fault, division.site, 0, i, 0);
      return 0;
    }
    return static_cast<T>(apply_integer(op, a, b));
  }
};

}  // namespace

bool binary(BinaryOp op, DType dtype, const Walk& walk, const void* a, const void* b, void* y,
            DivisionFault division, cudaStream_t stream) {
  const auto run = [&](auto f, auto tag) {
    using T = typename decltype(tag)::type;
    launch_walk("binary", walk, f, stream, static_cast<T*>(y), static_cast<const T*>(a),
                static_cast<const T*>(b));
  };
  if (visit_floating(dtype, [&](auto tag) { run(FloatingBinary{op}, tag); })) return true;
  if (op == BinaryOp::kSigmoidGrad || op == BinaryOp::kTanhGrad) return false;
  return visit_integer(dtype, [&](auto tag) { run(IntegerBinary{op, division}, tag); });
}

bool multiply_add(DType dtype, const Walk& walk, const void* a, const void* b, const void* c,
                  void* y, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_walk("fma", walk, MultiplyAdd{}, stream, static_cast<T*>(y), static_cast<const T*>(a),
                static_cast<const T*>(b), static_cast<const T*>(c));
  });
}

bool accumulate(DType dtype, const void* x, void* sum, int64_t n, cudaStream_t stream) {
  return binary(BinaryOp::kAdd, dtype, flat_walk(2, n), sum, x, sum, {}, stream);
}

}  // namespace cohort::cuda
