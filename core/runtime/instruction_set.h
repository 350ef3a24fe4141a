#pragma once

#include <string_view>

namespace cohort {

// What the CPU kernels of this process compute with, on which the last bits of their results
// depend. Defined by kernels/cpu, which choose.

/// "baseline", "avx2" or "avx512": the best that the processor has, or less where the environment's
/// COHORT_SIMD or a limit says so.
std::string_view instruction_set();

/// They compute with no better one than `name` from now on. False, and nothing has changed, where
/// they have computed with a better one already, or have none of this name. Thread-safe.
bool limit_instruction_set(std::string_view name);

}  // namespace cohort
