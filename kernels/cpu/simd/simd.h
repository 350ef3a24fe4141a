// The table of vector routines: raw, pointer-level, single-thread; a caller splits work over its
// team by rows or slices, so that every thread owns one slice. See README.md for the rules they
// share.
#pragma once

#include "cohort/kernels/cpu/simd/activation.h"
#include "cohort/kernels/cpu/simd/arithmetic.h"
#include "cohort/kernels/cpu/simd/conv.h"
#include "cohort/kernels/cpu/simd/element_code.h"
#include "cohort/kernels/cpu/simd/gemm.h"
#include "cohort/kernels/cpu/simd/move.h"
#include "cohort/kernels/cpu/simd/pool.h"
#include "cohort/kernels/cpu/simd/random.h"
#include "cohort/kernels/cpu/simd/reduce.h"
#include "cohort/kernels/cpu/simd/softmax.h"
#include "cohort/kernels/cpu/simd/update.h"

namespace cohort::cpu {

enum class Isa { kBaseline, kAvx2, kAvx512 };

template <class T>
struct FloatRoutines : GemmRoutines<T>,
                       UpdateRoutines<T>,
                       ActivationRoutines<T>,
                       ArithmeticRoutines<T>,
                       ElementRoutines<T>,
                       FloatRandomRoutines<T>,
                       SoftmaxRoutines<T>,
                       ReduceRoutines<T>,
                       PoolRoutines<T>,
                       MoveRoutines<T>,
                       ConvRoutines<T> {};

struct Simd {
  Isa isa = Isa::kBaseline;
  std::size_t vector_bytes = 16;
  RandomRoutines random = {};
  ConvertRoutines convert = {};
  FloatRoutines<float> f32 = {};
  FloatRoutines<double> f64 = {};

  template <class T>
  const FloatRoutines<T>& of() const {
    if constexpr (sizeof(T) == sizeof(float))
      return f32;
    else
      return f64;
  }
};

}  // namespace cohort::cpu
