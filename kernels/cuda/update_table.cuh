#pragma once

#include <algorithm>
#include <span>

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"
#include "cohort/kernels/cuda/update.h"

// How an update's blocks find their elements.
namespace cohort::cuda {

/// Segments of up to `kArrays` arrays, as a kernel argument, so that they need no device memory of
/// their own. All arguments of a kernel have 4 KiB.
template <int kArrays, int kSegments>
struct UpdateTable {
  struct Segment {
    void* arrays[kArrays];
    int64_t num_elements;
    double weight_decay;
  };
  static constexpr int kMax = kSegments;
  int count;
  bool aligned;  // every array begins at a multiple of the bytes that a thread reads of it at once
  int first_block[kMax + 1];
  Segment segments[kMax];
};

/// A thread's kVector elements of a segment.
template <class Segment, int kVector>
struct UpdateShare {
  const Segment* segment;
  int64_t begin;
  int count;   // of kVector, at the segment's end fewer
  bool whole;  // can be read and written at once

  template <class T>
  __device__ Vector<T, kVector> load(int array) const {
    const T* from = static_cast<const T*>(segment->arrays[array]) + begin;
    if (whole) return *reinterpret_cast<const Vector<T, kVector>*>(from);
    Vector<T, kVector> values = {};
    for (int k = 0; k < count; ++k) values.at[k] = from[k];
    return values;
  }
  template <class T>
  __device__ void store(int array, const Vector<T, kVector>& values) const {
    T* to = static_cast<T*>(segment->arrays[array]) + begin;
    if (whole) {
      *reinterpret_cast<Vector<T, kVector>*>(to) = values;
      return;
    }
    for (int k = 0; k < count; ++k) to[k] = values.at[k];
  }
};

/// The table was cut for blocks of this size: for_each_table.
template <int kVector, class Table>
__device__ UpdateShare<typename Table::Segment, kVector> share_of_thread(const Table& table) {
  const int block = static_cast<int>(blockIdx.x);
  int low = 0;
  for (int high = table.count; high - low > 1;) {
    const int middle = (low + high) / 2;
    (table.first_block[middle] <= block ? low : high) = middle;
  }
  const auto& segment = table.segments[low];
  const int64_t thread =
      static_cast<int64_t>(block - table.first_block[low]) * blockDim.x + threadIdx.x;
  const int64_t begin = thread * kVector;
  const int64_t left = segment.num_elements - begin;
  const int count = left < 0 ? 0 : left < kVector ? static_cast<int>(left) : kVector;
  return {&segment, begin, count, table.aligned && count == kVector};
}

/// Calls submit(table, blocks) for as many tables as the segments need, with a block for every
/// `threads` times kVector elements of type T.
template <class T, int kVector, class Table, class Submit>
void for_each_table(std::span<const UpdateSegment> segments, int threads, Submit&& submit) {
  constexpr int kArrays = std::extent_v<decltype(Table::Segment::arrays)>;
  for (size_t begin = 0; begin < segments.size(); begin += Table::kMax) {
    Table table = {};
    table.count = static_cast<int>(std::min<size_t>(Table::kMax, segments.size() - begin));
    table.aligned = true;
    for (int i = 0; i < table.count; ++i) {
      const UpdateSegment& from = segments[begin + static_cast<size_t>(i)];
      typename Table::Segment& to = table.segments[i];
      std::copy_n(from.arrays, kArrays, to.arrays);
      to.num_elements = from.num_elements;
      to.weight_decay = from.weight_decay;
      for (const void* array : to.arrays)
        table.aligned =
            table.aligned && reinterpret_cast<uintptr_t>(array) % sizeof(Vector<T, kVector>) == 0;
      table.first_block[i + 1] =
          table.first_block[i] +
          static_cast<int>(ceil_div(to.num_elements, int64_t{kVector} * threads));
    }
    submit(table, table.first_block[table.count]);
  }
}

}  // namespace cohort::cuda
