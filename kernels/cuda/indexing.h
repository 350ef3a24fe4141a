#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/fault.h"

namespace cohort::cuda {

/// Integers of i32, i64 or u8 that choose rows; one outside 0 … limit - 1 is reported as `site`.
struct Indices {
  DType dtype;
  const void* data;
  int64_t count;
  int64_t limit;
  Fault* fault;
  int site;
};

// Each enqueues its work; those that return bool say false when they do not take the dtype.

/// y[i, …] = table[indices[i], …], rows of `width` elements; a bad index gives zeros.
void gather(int element_bytes, const Indices& indices, int64_t width, const void* table, void* y,
            cudaStream_t stream);
/// y [limit, width] += values [count, width] at the indices, in order; -1 is passed over.
bool add_slices(DType dtype, const Indices& indices, int64_t width, const void* values, void* y,
                cudaStream_t stream);
/// As gather, for rows that an update writes: bad indices give zeros and are no fault.
void copy_rows(int element_bytes, const Indices& indices, int64_t width, const void* table,
               void* rows, cudaStream_t stream);
/// table[indices[i], …] = rows[i, …], unless a fault is set or *apply is false. Bad indices are
/// passed over, and none may occur twice.
void write_rows(int element_bytes, const Indices& indices, int64_t width, const void* rows,
                const bool* apply, void* table, cudaStream_t stream);
/// y [count, limit]: the bits of `on` at the index, of `off` elsewhere; bad indices give off alone.
void one_hot(int element_bytes, const Indices& indices, uint64_t on, uint64_t off, void* y,
             cudaStream_t stream);
/// x [outer, size, inner] -> y [outer, inner]: the first index of the largest, or of a NaN.
bool argmax(DType dtype, int64_t outer, int64_t size, int64_t inner, const void* x, int64_t* y,
            cudaStream_t stream);

}  // namespace cohort::cuda
