#include "cohort/kernels/cuda/indexing.h"

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

__device__ int64_t index_at(const Indices& indices, int64_t i) {
  if (indices.dtype == DType::kI32) return static_cast<const int32_t*>(indices.data)[i];
  if (indices.dtype == DType::kI64) return static_cast<const int64_t*>(indices.data)[i];
  return static_cast<const uint8_t*>(indices.data)[i];
}

__device__ bool inside(const Indices& indices, int64_t index) {
  return index >= 0 && index < indices.limit;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    gather_kernel(Indices indices, int64_t width, const T* table, T* y) {
  const int64_t at = element_index();
  if (at >= indices.count * width) return;
  const int64_t row = at / width;
  const int64_t index = index_at(indices, row);
  if (!inside(indices, index)) {
    report(indices.fault, indices.site, index, row, indices.limit - 1);
    y[at] = T(0);
    return;
  }
  y[at] = table[index * width + at % width];
}

// A thread owns a column, so equal indices add in order whatever runs beside it.
template <class T>
__global__ void __launch_bounds__(kThreads)
    add_slices_kernel(Indices indices, int64_t width, const T* values, T* y) {
  using C = Compute<T>;
  const int64_t column = element_index();
  if (column >= width) return;
  for (int64_t i = 0; i < indices.count; ++i) {
    const int64_t index = index_at(indices, i);
    if (!inside(indices, index)) {
      if (index != -1) report(indices.fault, indices.site, index, i, indices.limit - 1);
      continue;
    }
    T& to = y[index * width + column];
    to = static_cast<T>(static_cast<C>(to) + static_cast<C>(values[i * width + column]));
  }
}

// Rows that are not there are zeros.
template <class T>
__global__ void __launch_bounds__(kThreads)
    copy_rows_kernel(Indices indices, int64_t width, const T* table, T* rows) {
  const int64_t at = element_index();
  if (at >= indices.count * width) return;
  const int64_t index = index_at(indices, at / width);
  rows[at] = inside(indices, index) ? table[index * width + at % width] : T(0);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    write_rows_kernel(Indices indices, int64_t width, const T* rows, const bool* apply, T* table) {
  const int64_t at = element_index();
  if (at >= indices.count * width || indices.fault->site != 0 || !*apply) return;
  const int64_t index = index_at(indices, at / width);
  if (inside(indices, index)) table[index * width + at % width] = rows[at];
}

template <class T>
__global__ void __launch_bounds__(kThreads) one_hot_kernel(Indices indices, T on, T off, T* y) {
  const int64_t at = element_index();
  if (at >= indices.count * indices.limit) return;
  y[at] = index_at(indices, at / indices.limit) == at % indices.limit ? on : off;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    argmax_kernel(int64_t outputs, int64_t size, int64_t inner, const T* x, int64_t* y) {
  using C = Compute<T>;
  const int64_t i = element_index();
  if (i >= outputs) return;
  const T* column = x + i / inner * size * inner + i % inner;
  int64_t best = 0;
  C value = static_cast<C>(column[0]);
  for (int64_t k = 1; k < size && value == value; ++k) {
    const C other = static_cast<C>(column[k * inner]);
    if (!(other > value) && other == other) continue;
    best = k;
    value = other;
  }
  y[i] = best;
}

}  // namespace

void gather(int element_bytes, const Indices& indices, int64_t width, const void* table, void* y,
            cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("gather", gather_kernel<T>, indices.count * width, stream, indices, width,
                    static_cast<const T*>(table), static_cast<T*>(y));
  });
}

bool add_slices(DType dtype, const Indices& indices, int64_t width, const void* values, void* y,
                cudaStream_t stream) {
  return visit_number(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("slices_to_dense", add_slices_kernel<T>, width, stream, indices, width,
                    static_cast<const T*>(values), static_cast<T*>(y));
  });
}

void copy_rows(int element_bytes, const Indices& indices, int64_t width, const void* table,
               void* rows, cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("copy_rows", copy_rows_kernel<T>, indices.count * width, stream, indices, width,
                    static_cast<const T*>(table), static_cast<T*>(rows));
  });
}

void write_rows(int element_bytes, const Indices& indices, int64_t width, const void* rows,
                const bool* apply, void* table, cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("write_rows", write_rows_kernel<T>, indices.count * width, stream, indices,
                    width, static_cast<const T*>(rows), apply, static_cast<T*>(table));
  });
}

void one_hot(int element_bytes, const Indices& indices, uint64_t on, uint64_t off, void* y,
             cudaStream_t stream) {
  visit_bytes(element_bytes, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("one_hot", one_hot_kernel<T>, indices.count * indices.limit, stream, indices,
                    static_cast<T>(on), static_cast<T>(off), static_cast<T*>(y));
  });
}

bool argmax(DType dtype, int64_t outer, int64_t size, int64_t inner, const void* x, int64_t* y,
            cudaStream_t stream) {
  return visit_number(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_elements("argmax", argmax_kernel<T>, outer * inner, stream, outer * inner, size, inner,
                    static_cast<const T*>(x), y);
  });
}

}  // namespace cohort::cuda
