#include "cohort/kernels/cuda/update.h"

#include <algorithm>

#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

namespace cohort::cuda {
namespace {

constexpr int kPerThread = 8;
constexpr int64_t kPerBlock = kPerThread * kThreads;

// Travels as a kernel argument, at most 4 KiB, so it needs no device memory of its own.
struct Table {
  static constexpr int kMax = 48;
  int count;
  int first_block[kMax + 1];
  UpdateSegment segments[kMax];
};
static_assert(sizeof(Table) < 4000);

struct Share {
  const UpdateSegment* segment;
  int64_t begin;
};

__device__ Share share_of_block(const Table& table) {
  const int block = static_cast<int>(blockIdx.x);
  int low = 0;
  for (int high = table.count; high - low > 1;) {
    const int middle = (low + high) / 2;
    (table.first_block[middle] <= block ? low : high) = middle;
  }
  return {&table.segments[low], (block - table.first_block[low]) * kPerBlock};
}

__device__ bool skipped(const UpdateInputs& inputs) {
  return inputs.fault->site != 0 || !*inputs.apply;
}

template <class T, class F>
__device__ void for_each_element(const Share& share, F&& f) {
  const int64_t n = share.segment->num_elements;
#pragma unroll
  for (int k = 0; k < kPerThread; ++k) {
    const int64_t i = share.begin + k * kThreads + threadIdx.x;
    if (i < n) f(i);
  }
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

template <class T>
__global__ void __launch_bounds__(kThreads)
    adam_kernel(__grid_constant__ const Table table, AdamNumbers numbers, UpdateInputs inputs) {
  using C = Compute<T>;
  if (skipped(inputs)) return;
  const Share share = share_of_block(table);
  const UpdateSegment& s = *share.segment;
  const C alpha = static_cast<C>(adam_alpha(numbers, inputs));
  const double learning_rate = *inputs.learning_rate;
  const C rate_1 = static_cast<C>(1 - numbers.beta_1);
  const C rate_2 = static_cast<C>(1 - numbers.beta_2);
  const C epsilon = static_cast<C>(numbers.epsilon);
  auto* p = static_cast<T*>(s.parameter);
  const auto* gradient = static_cast<const T*>(s.gradient);
  auto* m = static_cast<T*>(s.slots[0]);
  auto* v = static_cast<T*>(s.slots[1]);
  auto* largest = static_cast<T*>(s.slots[2]);
  for_each_element<T>(share, [&](int64_t i) {
    const C g = static_cast<C>(gradient[i]);
    const C mi = static_cast<C>(m[i]) + (g - static_cast<C>(m[i])) * rate_1;
    const C vi = static_cast<C>(v[i]) + (g * g - static_cast<C>(v[i])) * rate_2;
    C divisor = vi;
    if (numbers.amsgrad) {
      const C old = static_cast<C>(largest[i]);
      divisor = old < vi ? vi : old;
      largest[i] = static_cast<T>(divisor);
    }
    m[i] = static_cast<T>(mi);
    v[i] = static_cast<T>(vi);
    const C pi = decayed(static_cast<C>(p[i]), s.weight_decay, learning_rate);
    p[i] = static_cast<T>(pi - alpha * mi / (sqrt(divisor) + epsilon));
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(__grid_constant__ const Table table, SgdNumbers numbers, UpdateInputs inputs) {
  using C = Compute<T>;
  if (skipped(inputs)) return;
  const Share share = share_of_block(table);
  const UpdateSegment& s = *share.segment;
  const double learning_rate = *inputs.learning_rate;
  const C rate = static_cast<C>(learning_rate);
  const C momentum = static_cast<C>(numbers.momentum);
  auto* p = static_cast<T*>(s.parameter);
  const auto* gradient = static_cast<const T*>(s.gradient);
  auto* m = static_cast<T*>(s.slots[0]);
  for_each_element<T>(share, [&](int64_t i) {
    const C change = rate * static_cast<C>(gradient[i]);
    const C pi = decayed(static_cast<C>(p[i]), s.weight_decay, learning_rate);
    if (numbers.momentum == 0) {
      p[i] = static_cast<T>(pi - change);
      return;
    }
    const C mi = momentum * static_cast<C>(m[i]) - change;
    m[i] = static_cast<T>(mi);
    p[i] = static_cast<T>(pi + (numbers.nesterov ? momentum * mi - change : mi));
  });
}

// Calls submit(table, blocks) for as many tables as the segments need.
template <class Submit>
void for_each_table(std::span<const UpdateSegment> segments, Submit&& submit) {
  for (size_t begin = 0; begin < segments.size(); begin += Table::kMax) {
    Table table = {};
    table.count = static_cast<int>(std::min<size_t>(Table::kMax, segments.size() - begin));
    for (int i = 0; i < table.count; ++i) {
      table.segments[i] = segments[begin + static_cast<size_t>(i)];
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
    for_each_table(segments, [&](const Table& table, int blocks) {
      launch("adam_update", adam_kernel<T>, blocks, kThreads, stream, table, numbers, inputs);
    });
  });
}

bool sgd(DType dtype, SgdNumbers numbers, std::span<const UpdateSegment> segments,
         UpdateInputs inputs, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_table(segments, [&](const Table& table, int blocks) {
      launch("sgd_update", sgd_kernel<T>, blocks, kThreads, stream, table, numbers, inputs);
    });
  });
}

}  // namespace cohort::cuda
