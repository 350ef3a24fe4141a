#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cohort/core/dtype_id.h"

namespace cohort::cuda {

/// What becomes of two elements.
enum class Combine { kSum, kMax, kMin };

/// mine[i] = the sum (maximum, minimum) over all ranks' element i, added in the binary tree over
/// ranks that `merges` (merge_counts.h; device memory, one for each rank) says, divided by
/// `divisor`. Every addition is rounded to the dtype, so bits do not depend on who adds. Rank r's
/// elements, but for `rank`'s own, lie at others + r * stride. Enqueues it; false when it does not
/// take the dtype.
bool tree_sum(DType dtype, int rank, int num_ranks, const uint8_t* merges, void* mine,
              const void* others, int64_t stride, int64_t n, double divisor, cudaStream_t stream,
              Combine combine = Combine::kSum);

}  // namespace cohort::cuda
