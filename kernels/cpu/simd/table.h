// Each source of this folder fills its part of the table of its instruction set.
#pragma once

#include "cohort/kernels/cpu/simd/simd.h"

namespace cohort::cpu::COHORT_SIMD_NAMESPACE {

/// Fills all of a table that the caller has constructed (constructing it here would leave a copy of
/// its inline constructor in this instruction set, which the linker might choose for all).
void fill_table(Simd& table);

void add_gemm(Simd& table);
void add_update(Simd& table);
void add_activation(Simd& table);
void add_arithmetic(Simd& table);
void add_element_code(Simd& table);
void add_random(Simd& table);
void add_softmax(Simd& table);
void add_reduce(Simd& table);
void add_pool(Simd& table);
void add_move(Simd& table);
void add_conv(Simd& table);

}  // namespace cohort::cpu::COHORT_SIMD_NAMESPACE
