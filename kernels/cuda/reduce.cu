#include "cohort/kernels/cuda/reduce.h"

#include "cohort/kernels/cuda/reduction.cuh"

namespace cohort::cuda {
namespace {

template <class A>
__device__ A merge_values(ReduceKind kind, A a, A b) {
  switch (kind) {
    case ReduceKind::kProd:
      return a * b;
    case ReduceKind::kMax:  // NaN wins
      return b > a || b != b ? b : a;
    case ReduceKind::kMin:
      return b < a || b != b ? b : a;
    default:
      return a + b;
  }
}

template <class T>
struct FloatingReduction {
  using Value = Compute<T>;
  ReduceKind kind;
  Value start;
  int64_t count;
  const T* x;
  T* y;

  __device__ Value first() const { return start; }
  __device__ Value load(int64_t at, int64_t) const { return static_cast<Value>(x[at]); }
  __device__ Value merge(Value a, Value b) const { return merge_values(kind, a, b); }
  __device__ void store(Value value, int64_t output) const {
    y[output] =
        static_cast<T>(kind == ReduceKind::kMean ? value / static_cast<Value>(count) : value);
  }
};

// All integer types: sums and products wrap as theirs would.
struct IntegerReduction {
  using Value = int64_t;
  ReduceKind kind;
  int bytes;
  bool is_signed;
  int64_t start;
  const void* x;
  void* y;

  __device__ Value first() const { return start; }
  __device__ Value load(int64_t at, int64_t) const {
    switch (bytes) {
      case 1:
        return is_signed ? static_cast<const int8_t*>(x)[at] : static_cast<const uint8_t*>(x)[at];
      case 4:
        return static_cast<const int32_t*>(x)[at];
      default:
        return static_cast<const int64_t*>(x)[at];
    }
  }
  __device__ Value merge(Value a, Value b) const { return merge_values(kind, a, b); }
  __device__ void store(Value value, int64_t output) const {
    switch (bytes) {
      case 1:
        static_cast<uint8_t*>(y)[output] = static_cast<uint8_t>(value);
        return;
      case 4:
        static_cast<int32_t*>(y)[output] = static_cast<int32_t>(value);
        return;
      default:
        static_cast<int64_t*>(y)[output] = value;
    }
  }
};

IntegerReduction integers(ReduceKind kind, DType dtype, double empty, const void* x, void* y) {
  const int bytes = dtype == DType::kI64 ? 8 : dtype == DType::kI32 ? 4 : 1;
  const bool is_signed = dtype != DType::kU8 && dtype != DType::kBool;
  // The ends of 64 bits are no doubles; they come as infinities' neighbours.
  const int64_t start = empty >= 0x1p63    ? INT64_MAX
                        : empty <= -0x1p63 ? INT64_MIN
                                           : static_cast<int64_t>(empty);
  return {kind, bytes, is_signed, start, x, y};
}

}  // namespace

bool reduce(ReduceKind kind, DType dtype, const Reduction& reduction, double empty, const void* x,
            void* y, void* workspace, cudaStream_t stream) {
  const bool floating = visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const FloatingReduction<T> f = {kind, static_cast<Compute<T>>(empty), reduction.num_reduced(),
                                    static_cast<const T*>(x), static_cast<T*>(y)};
    launch_reduction("reduce", f, reduction, workspace, stream);
  });
  if (!floating && kind != ReduceKind::kMean)
    launch_reduction("reduce", integers(kind, dtype, empty, x, y), reduction, workspace, stream);
  return floating || kind != ReduceKind::kMean;
}

}  // namespace cohort::cuda
