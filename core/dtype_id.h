#pragma once

#include <cstdint>

/// The names of the element types alone, for sources that cannot afford core/dtype.h (device code).
namespace cohort {

enum class DType : uint8_t { kF32, kF16, kBF16, kF64, kI32, kI64, kU8, kI8, kBool };

}  // namespace cohort
