// One vector word for every instruction set, for the sources of this folder only.
//
// Vec<T> is a GCC vector of kLanes<T> lanes: + - * / & | ^ << >> and comparisons are the language's
// own, a comparison gives a mask vector (all ones or zero per lane) and `mask ? a : b` selects.
// What the language lacks (fused multiply-add, square root, masked access, streaming stores, ...)
// stands in one file per instruction set with the same names; the shared rest is in vec_common.h.
#pragma once

#if defined(__AVX512F__)
#include "cohort/kernels/cpu/simd/vec_avx512.h"
#elif defined(__AVX2__)
#include "cohort/kernels/cpu/simd/vec_avx2.h"
#else
#include "cohort/kernels/cpu/simd/vec_baseline.h"
#endif

#include "cohort/kernels/cpu/simd/vec_common.h"
