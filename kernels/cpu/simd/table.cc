#include "cohort/kernels/cpu/simd/table.h"

#include "cohort/kernels/cpu/simd/vec.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

void fill_table(Simd& table) {
  table.vector_bytes = kVectorBytes;
  add_gemm(table);
  add_update(table);
  add_activation(table);
  add_arithmetic(table);
  add_element_code(table);
  add_random(table);
  add_softmax(table);
  add_reduce(table);
  add_pool(table);
  add_move(table);
  add_conv(table);
}

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
