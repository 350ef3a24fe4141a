#include "cohort/kernels/cuda/slices.h"

#include <cub/device/device_radix_sort.cuh>

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    pad_kernel(DType index_dtype, const void* indices, const T* values, int64_t count,
               int64_t width, int64_t rows, int32_t* padded_indices, T* padded_values) {
  const int64_t at = element_index();
  if (at >= rows * width) return;
  const int64_t row = at / width;
  const bool given = row < count;
  padded_values[at] = given ? values[at] : T(0);
  if (at % width != 0) return;
  if (!given)
    padded_indices[row] = -1;
  else if (index_dtype == DType::kI32)
    padded_indices[row] = static_cast<const int32_t*>(indices)[row];
  else
    padded_indices[row] = static_cast<int32_t>(static_cast<const int64_t*>(indices)[row]);
}

__global__ void __launch_bounds__(kThreads) number_kernel(int64_t count, int32_t* positions) {
  const int64_t i = element_index();
  if (i < count) positions[i] = static_cast<int32_t>(i);
}

/// The place of the highest bit in which a and b differ, from 1; 0 when they are equal.
__device__ int joint(int a, int b) { return 32 - __clz(a ^ b); }

// A thread owns a column of a run of equal indices: it adds each part's rows in order, and the
// parts' sums as soon as the next part lies beyond the subtree in which the last two meet.
template <class T>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const int32_t* rows, const int32_t* positions, const T* values, int64_t count,
                   int64_t width, int64_t part_rows, int32_t* indices, T* y) {
  using C = Compute<T>;
  const int64_t at = element_index();
  if (at >= count * width) return;
  int64_t i = at / width;
  const int64_t column = at % width;
  const int32_t row = rows[i];
  const bool first = row >= 0 && (i == 0 || rows[i - 1] != row);
  if (column == 0) indices[i] = first ? row : -1;
  if (!first) {
    y[at] = T(0);
    return;
  }
  constexpr int kDeepest = 34;
  C sums[kDeepest];
  sums[0] = C(0);
  int parts[kDeepest];
  int depth = 0;
  const auto join = [&] {
    --depth;
    sums[depth - 1] = static_cast<C>(static_cast<T>(sums[depth - 1] + sums[depth]));
  };
  while (i < count && rows[i] == row) {
    const int part = static_cast<int>(positions[i] / part_rows);
    C sum = C(0);
    for (; i < count && rows[i] == row && positions[i] / part_rows == part; ++i)
      sum = static_cast<C>(
          static_cast<T>(sum + static_cast<C>(values[positions[i] * width + column])));
    while (depth > 1 && joint(parts[depth - 2], parts[depth - 1]) < joint(part, parts[depth - 1]))
      join();
    sums[depth] = sum;
    parts[depth++] = part;
  }
  while (depth > 1) join();
  y[at] = static_cast<T>(sums[0]);
}

size_t padded(size_t bytes) { return (bytes + 255) / 256 * 256; }

size_t array_bytes(int64_t count) { return padded(static_cast<size_t>(count) * sizeof(int32_t)); }

size_t sort_bytes(int64_t count) {
  size_t bytes = 0;
  const int32_t* in = nullptr;
  int32_t* out = nullptr;
  check(cub::DeviceRadixSort::SortPairs(nullptr, bytes, in, out, in, out, count),
        "combine_slices: sort");
  return bytes;
}

}  // namespace

void pad_slices(int element_bytes, DType index_dtype, const void* indices, const void* values,
                int64_t count, int64_t width, int64_t rows, int32_t* padded_indices,
                void* padded_values, cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("pad_slices", pad_kernel<T>, rows * width, stream, index_dtype, indices,
                    static_cast<const T*>(values), count, width, rows, padded_indices,
                    static_cast<T*>(padded_values));
  });
}

size_t combine_slices_workspace(int64_t count) {
  return count == 0 ? 0 : 3 * array_bytes(count) + sort_bytes(count);
}

bool combine_slices(DType dtype, const int32_t* indices, const void* values, int64_t count,
                    int64_t width, int64_t part_rows, int32_t* combined_indices,
                    void* combined_values, void* workspace, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    if (count == 0) return;
    using T = typename decltype(tag)::type;
    auto* base = static_cast<std::byte*>(workspace);
    auto* rows = reinterpret_cast<int32_t*>(base);
    auto* numbers = reinterpret_cast<int32_t*>(base + array_bytes(count));
    auto* positions = reinterpret_cast<int32_t*>(base + 2 * array_bytes(count));
    size_t bytes = sort_bytes(count);
    launch_elements("combine_slices", number_kernel, count, stream, count, numbers);
    check(cub::DeviceRadixSort::SortPairs(base + 3 * array_bytes(count), bytes, indices, rows,
                                          numbers, positions, count, 0, 32, stream),
          "combine_slices: sort");
    launch_elements("combine_slices", combine_kernel<T>, count * width, stream, rows, positions,
                    static_cast<const T*>(values), count, width, part_rows, combined_indices,
                    static_cast<T*>(combined_values));
  });
}

}  // namespace cohort::cuda
