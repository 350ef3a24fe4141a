#include "cohort/kernels/cpu/simd_levels.h"

#include "cohort/kernels/cpu/simd_dispatch.h"

namespace cohort::cpu {

namespace simd_baseline {
void fill_table(Simd& table);
}

bool isa_supported(Isa isa) { return isa == Isa::kBaseline; }

void fill_simd(Isa, Simd& table) { simd_baseline::fill_table(table); }

bool flush_denormals() { return false; }

}  // namespace cohort::cpu
