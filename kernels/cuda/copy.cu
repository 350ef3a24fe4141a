#include "cohort/kernels/cuda/copy.h"

#include <cstring>

#include "cohort/kernels/cuda/elementwise.cuh"

namespace cohort::cuda {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = 8;  // threads of a block: kTile x kTileRows

template <class T>
__global__ void __launch_bounds__(kThreads) strided_kernel(Walk walk, T* to, const T* from) {
  const int64_t i = element_index();
  if (i < walk.num_elements) to[place(walk, 0, i)] = from[place(walk, 1, i)];
}

template <class T>
__global__ void __launch_bounds__(kThreads) fill_kernel(T value, T* to, int64_t n) {
  const int64_t i = element_index();
  if (i < n) to[i] = value;
}

struct StoredBytes {
  unsigned char at[kMaxStoredBytes];
};

__global__ void __launch_bounds__(kThreads)
    store_kernel(__grid_constant__ const StoredBytes from, unsigned char* to, int64_t n) {
  const int64_t i = element_index();
  if (i < n) to[i] = from.at[i];
}

struct Matrices {
  int64_t rows;
  int64_t columns;
  int64_t tiles_down;
  int64_t tiles_across;
};

// A tile is read by rows and written by rows; the turn happens in shared memory, whose rows are one
// element longer than a tile so that its columns lie in different banks.
template <class T>
__global__ void __launch_bounds__(kTile* kTileRows)
    transpose_kernel(Matrices m, const T* from, T* to) {
  __shared__ T tile[kTile][kTile + 1];
  const int lane = threadIdx.x % kTile;
  const int first = threadIdx.x / kTile;
  int64_t rest = blockIdx.x;
  const int64_t column0 = rest % m.tiles_across * kTile;
  rest /= m.tiles_across;
  const int64_t row0 = rest % m.tiles_down * kTile;
  const int64_t matrix = rest / m.tiles_down * m.rows * m.columns;
  for (int r = first; r < kTile; r += kTileRows)
    if (row0 + r < m.rows && column0 + lane < m.columns)
      tile[r][lane] = from[matrix + (row0 + r) * m.columns + column0 + lane];
  __syncthreads();
  for (int r = first; r < kTile; r += kTileRows)
    if (column0 + r < m.columns && row0 + lane < m.rows)
      to[matrix + (column0 + r) * m.rows + row0 + lane] = tile[lane][r];
}

}  // namespace

void copy_strided(int element_bytes, const Walk& walk, void* to, const void* from,
                  cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("copy", strided_kernel<T>, walk.num_elements, stream, walk, static_cast<T*>(to),
                    static_cast<const T*>(from));
  });
}

void fill(int element_bytes, uint64_t pattern, void* to, int64_t n, cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("fill", fill_kernel<T>, n, stream, static_cast<T>(pattern), static_cast<T*>(to),
                    n);
  });
}

void store_bytes(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  StoredBytes stored = {};
  std::memcpy(stored.at, from, bytes);
  launch_elements("store", store_kernel, static_cast<int64_t>(bytes), stream, stored,
                  static_cast<unsigned char*>(to), static_cast<int64_t>(bytes));
}

void transpose_matrices(int element_bytes, int64_t count, int64_t rows, int64_t columns,
                        const void* from, void* to, cudaStream_t stream) {
  const Matrices m = {rows, columns, ceil_div(rows, kTile), ceil_div(columns, kTile)};
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("transpose", transpose_kernel<T>, count * m.tiles_down * m.tiles_across,
           kTile * kTileRows, stream, m, static_cast<const T*>(from), static_cast<T*>(to));
  });
}

}  // namespace cohort::cuda
