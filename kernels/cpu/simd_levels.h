// The instruction sets that this build contains: x86/ and no_x86/ define these.
#pragma once

#include "cohort/kernels/cpu/simd/simd.h"

namespace cohort::cpu {

void fill_simd(Isa isa, Simd& table);

}  // namespace cohort::cpu
