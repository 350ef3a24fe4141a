#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"

namespace cohort::cuda {

/// y [rows, channels] += bias, then negative elements become 0 with `relu`. Enqueues it; false when
/// it does not take the dtype.
bool add_bias(DType dtype, int64_t rows, int64_t channels, const void* bias, bool relu, void* y,
              cudaStream_t stream);

}  // namespace cohort::cuda
