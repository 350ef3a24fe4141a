#pragma once

#include "tests/emulated/include/cuda_runtime_api.h"

namespace cub {

/// The host's stable sort, which uses all of the temporary storage that it asks for.
struct DeviceRadixSort {
  static cudaError_t SortPairs(void* storage, size_t& storage_bytes, const int32_t* keys_in,
                               int32_t* keys_out, const int32_t* values_in, int32_t* values_out,
                               int64_t count, int begin_bit = 0, int end_bit = 32,
                               cudaStream_t stream = nullptr);
};

}  // namespace cub
