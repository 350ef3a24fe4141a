#pragma once

#include <string>

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

}  // namespace cohort::data
