#pragma once

#include "tests/emulated/include/cuda_runtime_api.h"

namespace cohort::emulated {

/// Kernels that are wrong, each in one way that the emulation must find.
enum class Mistake {
  kNone,                ///< reverses two blocks of 256 numbers, each in itself
  kMissingBarrier,      ///< … and reads what its neighbours have not written yet
  kBarrierInBranch,     ///< … and half the threads skip the barrier
  kExitBeforeBarrier,   ///< … and the last thread has ended
  kTwoBarriers,         ///< … and threads wait at different ones
  kUnwrittenShared,     ///< … and one number of shared memory was never set
  kSharedOverrun,       ///< … and the last thread writes behind its array
  kOverrun,             ///< … and the last thread writes behind y
  kOverwritten,         ///< … and all threads write one number
  kAcrossBlocks,        ///< … and a block reads what the other writes
  kIncompleteShuffle,   ///< … by a shuffle that lane 0 does not take part in
  kShuffleOutsideMask,  ///< … by a shuffle that asks a lane outside the mask
};

/// x, y: 512 floats.
void reverse(Mistake mistake, const float* x, float* y, cudaStream_t stream);

/// Each warp's sums of `values` by each of the ways there are, and what its threads voted:
/// y [4, n]: by xor, down from lane 0, up from lane 31, and the number of positive values.
void warp_functions(const int* values, int* y, int n, cudaStream_t stream);
/// *sum += all n values; *largest = the largest of them and of itself.
void atomics(const int* values, int n, int* sum, int* largest, cudaStream_t stream);

}  // namespace cohort::emulated
