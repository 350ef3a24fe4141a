#pragma once

#include <string_view>

#include "cohort/kernels/cpu/simd/simd.h"

namespace cohort::cpu {

/// "baseline", "avx2" (with FMA, F16C, BMI: x86-64-v3) or "avx512" (F, BW, CD, DQ, VL: x86-64-v4).
std::string_view isa_name(Isa isa);

/// Whether this processor and operating system run it.
bool isa_supported(Isa isa);

Isa best_isa();

/// The routines of one instruction set.
/// Throws InvalidArgument where this processor or this build lacks it.
Simd select_simd(Isa isa);

/// The routines of the best instruction set here, or of the one that the environment variable
/// COHORT_SIMD names, under the limits that core/runtime/instruction_set.h has set. Chosen at the
/// first call. Thread-safe. Throws InvalidArgument where the variable holds an unknown or
/// unsupported name.
const Simd& simd();

/// Makes the calling thread compute with denormals as zero (the sign stays), results and operands
/// alike: Adam's slots of weights without gradient decay into denormals, which cost a hundred
/// cycles each. Every thread of a team calls it. Returns false where the processor has no such mode
/// that is known here.
bool flush_denormals();

}  // namespace cohort::cpu
