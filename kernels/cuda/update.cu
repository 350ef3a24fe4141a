#include "cohort/kernels/cuda/update.h"

#include "cohort/kernels/cuda/update_table.cuh"

namespace cohort::cuda {
namespace {

constexpr int kVector = 4;  // elements of a thread

using Table = UpdateTable<5, 48>;
using Share = UpdateShare<Table::Segment, kVector>;

__device__ bool skipped(const UpdateInputs& inputs) {
  return inputs.fault->site != 0 || !*inputs.apply;
}

template <class C>
__device__ C decayed(bool decays, C parameter, double weight_decay, double learning_rate) {
  return decays ? parameter - parameter * static_cast<C>(weight_decay * learning_rate) : parameter;
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
  const Share share = share_of_thread<kVector>(table);
  const double weight_decay = share.segment->weight_decay;
  const Vector<T, kVector> gradient = share.load<T>(0);
  Vector<T, kVector> m = share.load<T>(2);
  Vector<T, kVector> v = share.load<T>(3);
  Vector<T, kVector> largest = {};
  if (numbers.amsgrad) largest = share.load<T>(4);
  Vector<T, kVector> p = share.load<T>(1);
  if (skipped(inputs)) return;
  const C alpha = static_cast<C>(adam_alpha(numbers, inputs));
  const double learning_rate = *inputs.learning_rate;
  const C rate_1 = static_cast<C>(1 - numbers.beta_1);
  const C rate_2 = static_cast<C>(1 - numbers.beta_2);
  const C epsilon = static_cast<C>(numbers.epsilon);
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    const C g = static_cast<C>(gradient.at[k]);
    const C m_old = static_cast<C>(m.at[k]), v_old = static_cast<C>(v.at[k]);
    const C mk = fma(g - m_old, rate_1, m_old);
    const C vk = fma(g * g - v_old, rate_2, v_old);
    C divisor = vk;
    if (numbers.amsgrad) {
      const C old = static_cast<C>(largest.at[k]);
      divisor = old != old || old >= vk ? old : vk;
      largest.at[k] = static_cast<T>(divisor);
    }
    m.at[k] = static_cast<T>(mk);
    v.at[k] = static_cast<T>(vk);
    const C pk = decayed(numbers.decays, static_cast<C>(p.at[k]), weight_decay, learning_rate);
    p.at[k] = static_cast<T>(pk - alpha * mk / (sqrt(divisor) + epsilon));
  }
  share.store(2, m);
  share.store(3, v);
  if (numbers.amsgrad) share.store(4, largest);
  share.store(1, p);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sgd_kernel(__grid_constant__ const Table table, SgdNumbers numbers, UpdateInputs inputs) {
  using C = Compute<T>;
  const Share share = share_of_thread<kVector>(table);
  const double weight_decay = share.segment->weight_decay;
  const bool has_slot = numbers.momentum != 0;
  const Vector<T, kVector> gradient = share.load<T>(0);
  Vector<T, kVector> m = {};
  if (has_slot) m = share.load<T>(2);
  Vector<T, kVector> p = share.load<T>(1);
  if (skipped(inputs)) return;
  const double learning_rate = *inputs.learning_rate;
  const C rate = static_cast<C>(learning_rate);
  const C momentum = static_cast<C>(numbers.momentum);
#pragma unroll
  for (int k = 0; k < kVector; ++k) {
    const C change = rate * static_cast<C>(gradient.at[k]);
    const C pk = decayed(numbers.decays, static_cast<C>(p.at[k]), weight_decay, learning_rate);
    if (!has_slot) {
      p.at[k] = static_cast<T>(pk - change);
      continue;
    }
    const C mk = momentum * static_cast<C>(m.at[k]) - change;
    m.at[k] = static_cast<T>(mk);
    p.at[k] = static_cast<T>(pk + (numbers.nesterov ? momentum * mk - change : mk));
  }
  if (has_slot) share.store(2, m);
  share.store(1, p);
}

}  // namespace

bool adam(DType dtype, AdamNumbers numbers, std::span<const UpdateSegment> segments,
          UpdateInputs inputs, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_table<T, kVector, Table>(segments, kThreads, [&](const Table& table, int blocks) {
      launch("adam_update", adam_kernel<T>, blocks, kThreads, stream, table, numbers, inputs);
    });
  });
}

bool sgd(DType dtype, SgdNumbers numbers, std::span<const UpdateSegment> segments,
         UpdateInputs inputs, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for_each_table<T, kVector, Table>(segments, kThreads, [&](const Table& table, int blocks) {
      launch("sgd_update", sgd_kernel<T>, blocks, kThreads, stream, table, numbers, inputs);
    });
  });
}

}  // namespace cohort::cuda
