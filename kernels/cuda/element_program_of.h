#pragma once

#include "cohort/core/graph/graph.h"
#include "cohort/kernels/cuda/element_program.h"

namespace cohort::cuda {

/// The body of an update (core/ops/update_body.h) of so many arrays. Throws Unimplemented, naming
/// the update, for an op or a dtype that the kernel does not have (integers; elements computed in
/// two precisions), and for a body that is too long for it.
ElementProgram element_program_of(const Node& update, size_t num_arrays);

}  // namespace cohort::cuda
