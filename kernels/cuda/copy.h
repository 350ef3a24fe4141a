#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "cohort/kernels/cuda/walk.h"

// Moving elements about in device memory.
namespace cohort::cuda {

/// to[place in array 0] = from[place in array 1] for every element of the walk.
void copy_strided(int element_bytes, const Walk& walk, void* to, const void* from,
                  cudaStream_t stream);
/// Sets n elements to the bits of `pattern`.
void fill(int element_bytes, uint64_t pattern, void* to, int64_t n, cudaStream_t stream);
/// At most kMaxStoredBytes of the host's memory, which may be reused at once: they travel with the
/// launch.
inline constexpr size_t kMaxStoredBytes = 256;
void store_bytes(void* to, const void* from, size_t bytes, cudaStream_t stream);
/// `count` matrices [rows, columns], each to [columns, rows].
void transpose_matrices(int element_bytes, int64_t count, int64_t rows, int64_t columns,
                        const void* from, void* to, cudaStream_t stream);

}  // namespace cohort::cuda
