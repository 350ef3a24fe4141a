#include "cohort/kernels/cuda/pattern.h"

#include <cstring>

#include "cohort/core/tensor.h"

namespace cohort::cuda {

uint64_t bit_pattern(DType dtype, double value) {
  const Tensor element = Tensor::full(dtype, {}, value);
  uint64_t bits = 0;
  std::memcpy(&bits, element.raw(), element.num_bytes());
  return bits;
}

}  // namespace cohort::cuda
