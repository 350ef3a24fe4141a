#pragma once

#include <cuda_runtime_api.h>

#include <span>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/fault.h"

namespace cohort::cuda {

/// One variable, or several that lie one after the other in every array.
struct UpdateSegment {
  static constexpr int kMaxArrays = 12;
  void* arrays[kMaxArrays];  ///< gradient, parameter, slots
  int64_t num_elements;
  double weight_decay;
};

/// What an update reads from device memory when it runs: nothing that changes between steps is an
/// argument, so a captured update stays right.
struct UpdateInputs {
  const float* learning_rate;
  const int64_t* step;
  const bool* apply;
  const Fault* fault;  ///< set: nothing is written, as with *apply false
};

struct AdamNumbers {
  double beta_1, beta_2, epsilon;
  bool amsgrad;
  bool decays;  ///< weight decay, of some segments perhaps 0
};
struct SgdNumbers {
  double momentum;  ///< 0: no slot
  bool nesterov;
  bool decays;
};

// core/ops/update.h has the formulas; the bits are those of their bodies (update_body.h). Each
// enqueues the update of all segments, a few dozen in one launch, and returns false when it does
// not take the dtype.
bool adam(DType dtype, AdamNumbers numbers, std::span<const UpdateSegment> segments,
          UpdateInputs inputs, cudaStream_t stream);
bool sgd(DType dtype, SgdNumbers numbers, std::span<const UpdateSegment> segments,
         UpdateInputs inputs, cudaStream_t stream);

}  // namespace cohort::cuda
