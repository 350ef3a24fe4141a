#pragma once

#include <string>
#include <string_view>

#include "cohort/core/tensor.h"

namespace cohort::data::internal {

/// What a file says before its elements.
struct NpyHeader {
  DType dtype = DType::kF32;
  Shape shape;
  bool fortran_order = false;
  bool swapped = false;  ///< elements have the other byte order
  size_t num_bytes = 0;  ///< of the header itself

  size_t data_bytes() const { return static_cast<size_t>(shape.num_elements()) * size_of(dtype); }
};

/// The longest header that is read.
inline constexpr size_t kMaxNpyHeader = 64 << 10;

/// `begin` is the file's beginning, kMaxNpyHeader bytes of it or all. Errors begin with `where`.
NpyHeader read_npy_header(std::string_view begin, std::string_view where);
std::string npy_header(const Tensor& array, std::string_view where);
/// Elements as they are in the file become those of a tensor.
Tensor to_tensor(const NpyHeader& header, Tensor elements);

}  // namespace cohort::data::internal
