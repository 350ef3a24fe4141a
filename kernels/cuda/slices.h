#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "cohort/core/dtype_id.h"

namespace cohort::cuda {

// core/ops/slices.h. Each enqueues its work.

/// The first `count` of `rows` rows from indices [count] and values [count, width]; -1 and zeros
/// after them.
void pad_slices(int element_bytes, DType index_dtype, const void* indices, const void* values,
                int64_t count, int64_t width, int64_t rows, int32_t* padded_indices,
                void* padded_values, cudaStream_t stream);

size_t combine_slices_workspace(int64_t count);
/// Indices [count] and values [count, width] in parts of `part_rows`. False when the dtype is not a
/// floating one.
bool combine_slices(DType dtype, const int32_t* indices, const void* values, int64_t count,
                    int64_t width, int64_t part_rows, int32_t* combined_indices,
                    void* combined_values, void* workspace, cudaStream_t stream);

}  // namespace cohort::cuda
