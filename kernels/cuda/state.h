#pragma once

#include <cuda_runtime_api.h>

#include "cohort/core/dtype_id.h"
#include "cohort/kernels/cuda/fault.h"

namespace cohort::cuda {

enum class AssignKind { kReplace, kAdd, kSub };

/// variable = value, variable + value or variable - value, unless a fault is set. Enqueues it;
/// false when it does not take the dtype (bool is replaced only).
bool assign(AssignKind kind, DType dtype, const void* value, void* variable, int64_t n,
            const Fault* fault, cudaStream_t stream);
/// *mine = 0 where a fault is set, else 1. Enqueues it.
void vote(const Fault* fault, int32_t* mine, cudaStream_t stream);
/// Sets a fault, unless one is set, where the replicas' votes sum to another number. Enqueues it.
void veto(const int32_t* sum, int32_t voters, Fault* fault, cudaStream_t stream);
/// Makes *all_finite false where one of x is infinite or NaN, and leaves it alone otherwise.
bool check_finite(DType dtype, const void* x, int64_t n, bool* all_finite, cudaStream_t stream);

}  // namespace cohort::cuda
