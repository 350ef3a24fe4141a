#include "cohort/kernels/cuda/elementwise.cuh"
#include "cohort/kernels/cuda/elementwise.h"
#include "cohort/kernels/cuda/scalar_ops.cuh"

namespace cohort::cuda {
namespace {

struct Comparison {
  CompareOp op;
  template <class T>
  __device__ bool operator()(int64_t, T a, T b) const {
    return apply_compare(op, static_cast<Compute<T>>(a), static_cast<Compute<T>>(b));
  }
};

struct Choice {
  template <class T>
  __device__ T operator()(int64_t, bool condition, T a, T b) const {
    return condition ? a : b;
  }
};

// A number of any type: floats as double, others as int64_t, both exact.
struct Number {
  bool floating;
  double real;
  int64_t integer;
};

__device__ Number load_number(DType dtype, const void* data, int64_t i) {
  const auto real = [](double x) { return Number{true, x, 0}; };
  const auto integer = [](int64_t x) { return Number{false, 0, x}; };
  switch (dtype) {
    case DType::kF32:
      return real(static_cast<const float*>(data)[i]);
    case DType::kF16:
      return real(__half2float(static_cast<const __half*>(data)[i]));
    case DType::kBF16:
      return real(__bfloat162float(static_cast<const __nv_bfloat16*>(data)[i]));
    case DType::kF64:
      return real(static_cast<const double*>(data)[i]);
    case DType::kI32:
      return integer(static_cast<const int32_t*>(data)[i]);
    case DType::kI64:
      return integer(static_cast<const int64_t*>(data)[i]);
    case DType::kI8:
      return integer(static_cast<const int8_t*>(data)[i]);
    default:  // kU8, kBool
      return integer(static_cast<const uint8_t*>(data)[i]);
  }
}

// Integers wrap. Floats truncate; values outside the range go to its ends and NaN to 0.
__device__ int64_t to_integer(const Number& x, int64_t lowest, int64_t highest) {
  if (!x.floating) return x.integer;
  if (x.real != x.real) return 0;
  if (x.real <= static_cast<double>(lowest)) return lowest;
  if (x.real >= static_cast<double>(highest)) return highest;
  return static_cast<int64_t>(x.real);
}

__device__ void store_number(DType dtype, void* data, int64_t i, const Number& x) {
  // The 16-bit formats are rounded from float, as on the CPU.
  const auto single = [&] {
    return x.floating ? static_cast<float>(x.real) : static_cast<float>(x.integer);
  };
  switch (dtype) {
    case DType::kF32:
      static_cast<float*>(data)[i] = single();
      return;
    case DType::kF16:
      static_cast<__half*>(data)[i] = __float2half_rn(single());
      return;
    case DType::kBF16:
      static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16_rn(single());
      return;
    case DType::kF64:
      static_cast<double*>(data)[i] = x.floating ? x.real : static_cast<double>(x.integer);
      return;
    case DType::kI32:
      static_cast<int32_t*>(data)[i] = static_cast<int32_t>(to_integer(x, INT32_MIN, INT32_MAX));
      return;
    case DType::kI64:
      static_cast<int64_t*>(data)[i] = to_integer(x, INT64_MIN, INT64_MAX);
      return;
    case DType::kU8:
      static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(to_integer(x, 0, UINT8_MAX));
      return;
    case DType::kI8:
      static_cast<int8_t*>(data)[i] = static_cast<int8_t>(to_integer(x, INT8_MIN, INT8_MAX));
      return;
    default:  // kBool
      static_cast<bool*>(data)[i] = x.floating ? x.real != 0 : x.integer != 0;
  }
}

// In place too, where both types have the same size: each element is read before it is written.
__global__ void __launch_bounds__(kThreads)
    cast_kernel(DType from, const void* x, DType to, void* y, int64_t n) {
  const int64_t i = element_index();
  if (i < n) store_number(to, y, i, load_number(from, x, i));
}

template <class Visitor>
void visit_any(DType dtype, Visitor&& visit) {
  if (!visit_number(dtype, visit)) visit(Tag<bool>{});
}

}  // namespace

bool compare(CompareOp op, DType dtype, const Walk& walk, const void* a, const void* b, bool* y,
             cudaStream_t stream) {
  if (op >= CompareOp::kAnd && dtype != DType::kBool) return false;
  visit_any(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_walk("compare", walk, Comparison{op}, stream, y, static_cast<const T*>(a),
                static_cast<const T*>(b));
  });
  return true;
}

void select(int element_bytes, const Walk& walk, const bool* condition, const void* a,
            const void* b, void* y, cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_walk("select", walk, Choice{}, stream, static_cast<T*>(y), condition,
                static_cast<const T*>(a), static_cast<const T*>(b));
  });
}

void cast(DType from, const void* x, DType to, void* y, int64_t n, cudaStream_t stream) {
  launch_elements("cast", cast_kernel, n, stream, from, x, to, y, n);
}

}  // namespace cohort::cuda
