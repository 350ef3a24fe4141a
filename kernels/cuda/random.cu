#include "cohort/kernels/cuda/random.h"

#include "cohort/core/runtime/philox.h"
#include "cohort/kernels/cuda/launch.cuh"
#include "cohort/kernels/cuda/types.cuh"

// The same words as on the CPU: the definition is core/runtime/philox.h in both. A thread takes one
// block of Philox, the four elements that share it.
namespace cohort::cuda {
namespace {

// Calls f(i, index, word) for the elements of this thread; index counts in the global batch.
template <class F>
__device__ void for_each_word(const RandomSource& source, int64_t n, F&& f) {
  const StepState& step = *source.step;
  const uint64_t seed = source.seed >= 0 ? static_cast<uint64_t>(source.seed) : step.seed;
  const uint64_t key = philox_key(seed, source.stream, step.step, step.micro_step);
  const uint64_t first = static_cast<uint64_t>(step.row_offset * source.row_elements);
  const uint64_t block = first / 4 + static_cast<uint64_t>(element_index());
  if (block * 4 >= first + static_cast<uint64_t>(n)) return;
  const std::array<uint32_t, 4> words = philox_block(key, block);
#pragma unroll
  for (int lane = 0; lane < 4; ++lane) {
    const uint64_t index = block * 4 + lane;
    if (index >= first && index - first < static_cast<uint64_t>(n))
      f(static_cast<int64_t>(index - first), key, index, words[lane]);
  }
}

template <class F>
__global__ void __launch_bounds__(kThreads) random_kernel(RandomSource source, int64_t n, F f) {
  for_each_word(source, n, f);
}

// The first element may lie inside a block, so one block more than n / 4 may be touched.
template <class F>
void launch_random(const char* where, RandomSource source, int64_t n, cudaStream_t stream, F f) {
  if (n > 0) launch_elements(where, random_kernel<F>, n / 4 + 2, stream, source, n, f);
}

template <class T>
struct Dropout {
  uint32_t threshold;
  Compute<T> scale;
  const T* x;
  T* y;
  __device__ void operator()(int64_t i, uint64_t, uint64_t, uint32_t word) const {
    y[i] = (word >> 8) >= threshold ? static_cast<T>(static_cast<Compute<T>>(x[i]) * scale)
                                    : static_cast<T>(Compute<T>(0));
  }
};

// A product and a sum rounded one after the other, as the CPU does.
__device__ double scaled(double offset, double factor, double x) {
  return __dadd_rn(offset, __dmul_rn(factor, x));
}

// The next number towards low of a 16-bit float equal to high.
template <class T>
__device__ T below(T value) {
  auto& bits = reinterpret_cast<uint16_t&>(value);
  const float number = static_cast<float>(value);
  bits = number > 0 ? bits - 1 : number < 0 ? bits + 1 : 0x8001;
  return value;
}

template <class T>
struct Uniform {
  double low, high;
  T* y;
  __device__ T convert(uint64_t key, uint64_t index, uint32_t word) const {
    using C = Compute<T>;
    if constexpr (std::is_same_v<T, double>) {
      const double u = philox_uniform_double(word, philox_word(key, index, 1));
      const double value = scaled(low, high - low, u);
      return value < high ? value : nextafter(high, low);
    } else {
      const C value = static_cast<C>(scaled(low, high - low, philox_uniform_float(word)));
      if constexpr (kIsHalf<T>) {
        const T rounded = static_cast<T>(value);
        return static_cast<C>(rounded) < high || low == high ? rounded : below(rounded);
      } else {
        return value < high || low == high ? value : nextafterf(value, static_cast<C>(low));
      }
    }
  }
  __device__ void operator()(int64_t i, uint64_t key, uint64_t index, uint32_t word) const {
    y[i] = convert(key, index, word);
  }
};

// philox_normal, with the device's double functions: they differ from the host's in the last bit at
// most.
template <class T>
struct Normal {
  double mean, stddev;
  T* y;
  __device__ void operator()(int64_t i, uint64_t key, uint64_t index, uint32_t word) const {
    const double u = (static_cast<double>(word) + 1) * 0x1p-32;
    const double w = static_cast<double>(philox_word(key, index, 1)) * 0x1p-32;
    const double z = sqrt(-2 * log(u)) * cospi(2 * w);
    y[i] = static_cast<T>(static_cast<Compute<T>>(scaled(mean, stddev, z)));
  }
};

}  // namespace

bool dropout(DType dtype, RandomSource source, uint32_t threshold, double scale, const void* x,
             void* y, int64_t n, cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_random("dropout", source, n, stream,
                  Dropout<T>{threshold, static_cast<Compute<T>>(scale), static_cast<const T*>(x),
                             static_cast<T*>(y)});
  });
}

bool random_uniform(DType dtype, RandomSource source, double low, double high, void* y, int64_t n,
                    cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_random("random_uniform", source, n, stream, Uniform<T>{low, high, static_cast<T*>(y)});
  });
}

bool random_normal(DType dtype, RandomSource source, double mean, double stddev, void* y, int64_t n,
                   cudaStream_t stream) {
  return visit_floating(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch_random("random_normal", source, n, stream, Normal<T>{mean, stddev, static_cast<T*>(y)});
  });
}

}  // namespace cohort::cuda
