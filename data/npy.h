#pragma once

#include <string>
#include <string_view>

#include "cohort/core/tensor.h"

/// NumPy's file of one array, ".npy" (numpy.lib.format, versions 1.0 to 3.0): the way of tensors
/// from and to Python. Element types are those that both have: bool, u8, i8, i32, i64, f16, f32,
/// f64, of either byte order; bfloat16 has no name there.
namespace cohort::data {

/// Reads an array in C or Fortran order. Throws NotFound; DataLoss for what is no such file, is cut
/// off or longer than its shape says; Unimplemented for other element types, objects and records
/// among them. Each names the file.
Tensor load_npy(const std::string& path);

/// Writes `array` in C order, format 1.0, as numpy.save does. The file takes its place whole.
/// Throws Unimplemented for bfloat16.
void save_npy(const std::string& path, const Tensor& array);

namespace internal {

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

}  // namespace internal
}  // namespace cohort::data
