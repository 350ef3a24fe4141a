#pragma once

#include <string>

#include "cohort/core/runtime/kernel.h"

namespace cohort::cpu {

/// Element i of a tensor of i32, i64 or u8.
inline int64_t integer_at(const Operand& operand, int64_t i) {
  switch (operand.dtype) {
    case DType::kI32:
      return operand.data<int32_t>()[i];
    case DType::kI64:
      return operand.data<int64_t>()[i];
    default:
      return operand.data<uint8_t>()[i];
  }
}

/// Throws InvalidArgument naming label, row and K where a label lies outside 0 … K-1.
void check_labels(const Operand& labels, int64_t num_classes, const std::string& node);

/// Throws OutOfRange naming index and K where an index lies outside 0 … K-1.
void check_indices(const Operand& indices, int64_t num_rows, const std::string& node);
/// The same for the indices of slices, where -1 stands for no row.
void check_slices(const Operand& indices, int64_t num_rows, const std::string& node);

}  // namespace cohort::cpu
