#include "cohort/kernels/cuda/update.h"

#include <algorithm>

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

constexpr int kVector = 4;  // elements of a thread
constexpr int64_t kPerBlock = kVector * kThreads;

// Travels as a kernel argument, at most 4 KiB, so it needs no device memory of its own.
struct Table {
  static constexpr int kMax = 48;
  int count;
  bool aligned;  // every array begins at a multiple of kVector elements' bytes
  int first_block[kMax + 1];
  UpdateSegment segments[kMax];
};
static_assert(sizeof(Table) < 4000);

// A thread's elements of a segment.
struct Share {
  const UpdateSegment* segment;
  int64_t begin;
  int count;   // of kVector, at the segment's end fewer
  bool whole;  // can be read and written at once

  template <class T>
  __device__ Vector<T, kVector> load(const void* array) const {
    const T* from = static_cast<const T*>(array) + begin;
    if (whole) return *reinterpret_cast<const Vector<T, kVector>*>(from);
    Vector<T, kVector> values = {};
    for (int k = 0; k < count; ++k) values.at[k] = from[k];
    return values;
  }
  template <class T>
  __device__ void store(void* array, const Vector<T, kVector>& values) const {
    T* to = static_cast<T*>(array) + begin;
    if (whole) {
      *reinterpret_cast<Vector<T, kVector>*>(to) = values;
      return;
    }
    for (int k = 0; k < count; ++k) to[k] = values.at[k];
  }
};

__device__ Share share_of_thread(const Table& table) {
  const int block = static_cast<int>(blockIdx.x);
  int low = 0;
  for (int high = table.count; high - low > 1;) {
    const int middle = (low + high) / 2;
    (table.first_block[middle] <= block ? low : high) = middle;
  }
  const UpdateSegment& segment = table.segments[low];
  const int64_t begin =
      (block - table.first_block[low]) * kPerBlock + static_cast<int64_t>(threadIdx.x) * kVector;
  const int64_t left = segment.num_elements - begin;
  const int count = left < 0 ? 0 : left < kVector ? static_cast<int>(left) : kVector;
  return {&segment, begin, count, table.aligned && count == kVector};
}

__device__ bool skipped(const UpdateInputs& inputs) {
  return inputs.fault->site != 0 || !*inputs.apply;
}

template <class C>
__device__ C decayed(C parameter, double weight_decay, double learning_rate) {
  return parameter - parameter * static_cast<C>(weight_decay * learning_rate);
}

// Powers near 1 need double; one thread computes the block's.
__device__ double adam_alpha(const AdamNumbers& numbers, const UpdateInputs& inputs) {
  __shared__ double alpha;
  if (threadIdx.x == 0) {
    const double t = static_cast<double>(*inputs.step);
    alpha = *inputs.learning_rate * sqrt(1 - pow(numbers.beta_2, t)) / (1 - pow(numbers.beta_1, t));
  }
  __syncthreads();
  return alpha;
}

// The arrays are asked for first: while they come, one thread computes what all need.
template <class T>
__global__ void __launch_bounds__(kThreads)
    adam_kernel(__grid_constant__ const Table table, AdamNumbers numbers, UpdateInputs inputs) {
  using C = Compute<T>;
  const Share share = share_of_thread(table);
  const UpdateSegment& s = *share.segment;
  const Vector<T, kVector> gradient = share.load<T>(s.gradient);
  Vector<T, kVector> m = share.load<T>(s.slots[0]);
  Vector<T, kVector> v = share.load<T>(s.slots[1]);
  Vector<T, kVector> largest = {};
  if (numbers.amsgrad) largest = share.load<T>(s.slots[2]);
  Vector<T, kVector> p = share.load<T>(s.parameter);
  if (skipped(inputs)) return;
  const C alpha = static_cast<C>(adam_alpha(numbers, inputs));
  const double learning_rate = *inputs.learning_rate;
  const C rate_1 = static_cast<C>(1 - numbers.beta_1);
  const C rate_2 = static_cast<C>(1 - numbers.beta_2);
  const C epsilon = static_cast<C>(numbers.epsilon);
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    const C g = static_cast<C>(gradient.at[k]);
    const C mk = static_cast<C>(m.at[k]) + (g - static_cast<C>(m.at[k])) * rate_1;
    const C vk = static_cast<C>(v.at[k]) + (g * g - static_cast<C>(v.at[k])) * rate_2;
    C divisor = vk;
    if (numbers.amsgrad) {
      const C old = static_cast<C>(largest.at[k]);
      divisor = old < vk ? vk : old;
      largest.at[k] = static_cast<T>(divisor);
    }
    m.at[k] = static_cast<T>(mk);
    v.at[k] = static_cast<T>(vk);
    const C pk = decayed(static_cast<C>(p.at[k]), s.weight_decay, learning_rate);
    p.at[k] = static_cast<T>(pk - alpha * mk / (sqrt(divisor) + epsilon));
  }
  share.store(s.slots[0], m);
  share.store(s.slots[1], v);
  if (numbers.amsgrad) share.store(s.slots[2], largest);
  share.store(s.parameter, p);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(__grid_constant__ const Table table, SgdNumbers numbers, UpdateInputs inputs) {
  using C = Compute<T>;
  const Share share = share_of_thread(table);
  const UpdateSegment& s = *share.segment;
  const bool has_slot = numbers.momentum != 0;
  const Vector<T, kVector> gradient = share.load<T>(s.gradient);
  Vector<T, kVector> m = {};
  if (has_slot) m = share.load<T>(s.slots[0]);
  Vector<T, kVector> p = share.load<T>(s.parameter);
  if (skipped(inputs)) return;
  const double learning_rate = *inputs.learning_rate;
  const C rate = static_cast<C>(learning_rate);
  const C momentum = static_cast<C>(numbers.momentum);
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    const C change = rate * static_cast<C>(gradient.at[k]);
    const C pk = decayed(static_cast<C>(p.at[k]), s.weight_decay, learning_rate);
    if (!has_slot) {
      p.at[k] = static_cast<T>(pk - change);
      continue;
    }
    const C mk = momentum * static_cast<C>(m.at[k]) - change;
    m.at[k] = static_cast<T>(mk);
    p.at[k] = static_cast<T>(pk + (numbers.nesterov ? momentum * mk - change : mk));
  }
  if (has_slot) share.store(s.slots[0], m);
  share.store(s.parameter, p);
}

bool is_aligned(const UpdateSegment& s, size_t bytes) {
  const auto begins_well = [bytes](const void* array) {
    return reinterpret_cast<uintptr_t>(array) % bytes == 0;
  };
  return begins_well(s.parameter) && begins_well(s.gradient) &&
         std::all_of(std::begin(s.slots), std::end(s.slots), begins_well);
}

// Calls submit(table, blocks) for as many tables as the segments need.
template <class T, class Submit>
void for_each_table(std::span<const UpdateSegment> segments, Submit&& submit) {
  for (size_t begin = 0; begin < segments.size(); begin += Table::kMax) {
    Table table = {};
    table.count = static_cast<int>(std::min<size_t>(Table::kMax, segments.size() - begin));
    table.aligned = true;
    for (int i = 0; i < table.count; ++i) {
      table.segments[i] = segments[begin + static_cast<size_t>(i)];
      table.aligned = table.aligned && is_aligned(table.segments[i], sizeof(Vector<T, kVector>));
      table.first_block[i + 1] =
          table.first_block[i] +
          static_cast<int>(ceil_div(table.segments[i].num_elements, kPerBlock));
    }
    submit(table, table.first_block[table.count]);
  }
}

}  // namespace

bool adam(DType dtype, AdamNumbers numbers, std::span<const UpdateSegment> segments,
          UpdateInputs inputs, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_table<T>(segments, [&](const Table& table, int blocks) {
      launch("adam_update", adam_kernel<T>, blocks, kThreads, stream, table, numbers, inputs);
    });
  });
}

bool sgd(DType dtype, SgdNumbers numbers, std::span<const UpdateSegment> segments,
         UpdateInputs inputs, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_table<T>(segments, [&](const Table& table, int blocks) {
      launch("sgd_update", sgd_kernel<T>, blocks, kThreads, stream, table, numbers, inputs);
    });
  });
}

}  // namespace cohort::cuda
