#include "cohort/distribute/sum_loops.h"

#include <cstring>

namespace cohort::distribute {

namespace simd_baseline {
void fill_sums(SumTable& table);
}

const SumTable& sum_table() {
  static const SumTable table = [] {
    SumTable baseline;
    simd_baseline::fill_sums(baseline);
    return baseline;
  }();
  return table;
}

void copy_for_others(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace cohort::distribute
