#pragma once

#include "cohort/kernels/cuda/element_program.h"

namespace cohort::cuda {

/// What an update by a body reads from device memory when it runs, as UpdateInputs.
struct BodyInputs {
  const double* numbers;
  const bool* apply;
  const Fault* fault;
};

/// Enqueues the update of all segments by a body, up to 16 in one launch. Each element is computed
/// by one thread, op by op as the CPU does: the same bits where +, -, *, /, sqrt, fma, comparisons
/// and rounding make them, but for f32 below 1.2e-38, which a CPU takes for 0. Other functions
/// (exp, pow, …) may differ in the last bits. Returns false when it does not take the dtype.
bool update_by_body(DType dtype, const ElementProgram& program,
                    std::span<const UpdateSegment> segments, BodyInputs inputs,
                    cudaStream_t stream);

}  // namespace cohort::cuda
