#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "cohort/core/dtype_id.h"

// Element types in device code. Sources compiled for the device include no core header but the
// small ones: formatting and tensors cost seconds there.
namespace cohort::cuda {

template <class T>
struct Tag {
  using type = T;
};

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>;
template <class T>
inline constexpr bool kIsFloating = kIsHalf<T> || std::is_floating_point_v<T>;

/// The type in which elements of type T are computed: float for the 16-bit formats.
template <class T>
using Compute = std::conditional_t<kIsHalf<T>, float, T>;

/// Neighbouring elements that one thread reads and writes at once.
template <class T, int kCount>
struct alignas(kCount * sizeof(T)) Vector {
  T at[kCount];
};

/// Calls visit(Tag<T>) for a floating dtype. Returns false for others.
template <class Visitor>
bool visit_floating(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::kF32:
      visit(Tag<float>{});
      return true;
    case DType::kF16:
      visit(Tag<__half>{});
      return true;
    case DType::kBF16:
      visit(Tag<__nv_bfloat16>{});
      return true;
    case DType::kF64:
      visit(Tag<double>{});
      return true;
    default:
      return false;
  }
}

template <class Visitor>
bool visit_integer(DType dtype, Visitor&& visit) {
  switch (dtype) {
    case DType::kI32:
      visit(Tag<int32_t>{});
      return true;
    case DType::kI64:
      visit(Tag<int64_t>{});
      return true;
    case DType::kU8:
      visit(Tag<uint8_t>{});
      return true;
    case DType::kI8:
      visit(Tag<int8_t>{});
      return true;
    default:
      return false;
  }
}

template <class Visitor>
bool visit_number(DType dtype, Visitor&& visit) {
  return visit_floating(dtype, visit) || visit_integer(dtype, visit);
}

/// For work that only moves elements: an unsigned type of their size.
template <class Visitor>
void visit_bytes(int element_bytes, Visitor&& visit) {
  switch (element_bytes) {
    case 1:
      return visit(Tag<uint8_t>{});
    case 2:
      return visit(Tag<uint16_t>{});
    case 4:
      return visit(Tag<uint32_t>{});
    default:
      return visit(Tag<uint64_t>{});
  }
}

}  // namespace cohort::cuda
