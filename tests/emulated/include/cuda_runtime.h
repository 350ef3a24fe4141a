#pragma once

#include <math.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <source_location>
#include <tuple>
#include <type_traits>

#include "tests/emulated/include/cuda_runtime_api.h"

// What kernels see of CUDA's language, for a C++ compiler. The keywords (__global__, __shared__, …)
// are defined on the command line: tests/emulated/CMakeLists.txt.

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct cudaLaunchAttribute;
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

namespace cohort::emulated {

/// The thread that runs.
struct Here {
  uint3 thread = {}, block = {};
  dim3 block_size, grid_size;
};
extern Here here;

/// A kernel with its arguments: run(function, parameters) is one thread's work.
struct Kernel {
  using Function = void (*)();
  Function function;
  void (*run)(Function function, const void* parameters);
  std::shared_ptr<const void> parameters;
  size_t parameter_bytes;
};
cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, Kernel kernel);

using Site = std::source_location;
void barrier(Site site);
/// Waits for the lanes of `mask`; returns what `source` of them gave.
uint64_t exchange(unsigned mask, uint64_t mine, int source, Site site);
/// As above; returns the lanes of `mask` whose predicate was not 0.
unsigned vote(unsigned mask, bool predicate, Site site);
int lane();

template <class T>
T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, source, site);
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace cohort::emulated

inline constexpr const uint3& threadIdx = cohort::emulated::here.thread;
inline constexpr const uint3& blockIdx = cohort::emulated::here.block;
inline constexpr const dim3& blockDim = cohort::emulated::here.block_size;
inline constexpr const dim3& gridDim = cohort::emulated::here.grid_size;
inline constexpr int warpSize = 32;

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  using Tuple = std::tuple<Parameters...>;
  static_assert(sizeof(Tuple) <= 4096, "a kernel's parameters may have 4 KiB");
  using Kernel = cohort::emulated::Kernel;
  const auto run = [](Kernel::Function function, const void* parameters) {
    std::apply(reinterpret_cast<void (*)(Parameters...)>(function),
               *static_cast<const Tuple*>(parameters));
  };
  return cohort::emulated::enqueue_kernel(
      *config,
      {reinterpret_cast<Kernel::Function>(kernel), run,
       std::make_shared<const Tuple>(std::forward<Arguments>(arguments)...), sizeof(Tuple)});
}

inline void __syncthreads(cohort::emulated::Site site = cohort::emulated::Site::current()) {
  cohort::emulated::barrier(site);
}
inline void __syncwarp(unsigned mask = 0xffffffffu,
                       cohort::emulated::Site site = cohort::emulated::Site::current()) {
  cohort::emulated::vote(mask, true, site);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int source,
              cohort::emulated::Site site = cohort::emulated::Site::current()) {
  return cohort::emulated::shuffle(mask, value, source & 31, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance,
                  cohort::emulated::Site site = cohort::emulated::Site::current()) {
  return cohort::emulated::shuffle(mask, value, cohort::emulated::lane() ^ distance, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance,
                   cohort::emulated::Site site = cohort::emulated::Site::current()) {
  const int source = cohort::emulated::lane() + static_cast<int>(distance);
  return cohort::emulated::shuffle(mask, value, source < 32 ? source : cohort::emulated::lane(),
                                   site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance,
                 cohort::emulated::Site site = cohort::emulated::Site::current()) {
  const int source = cohort::emulated::lane() - static_cast<int>(distance);
  return cohort::emulated::shuffle(mask, value, source >= 0 ? source : cohort::emulated::lane(),
                                   site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              cohort::emulated::Site site = cohort::emulated::Site::current()) {
  return cohort::emulated::vote(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate,
                      cohort::emulated::Site site = cohort::emulated::Site::current()) {
  return cohort::emulated::vote(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      cohort::emulated::Site site = cohort::emulated::Site::current()) {
  return cohort::emulated::vote(mask, predicate != 0, site) == mask;
}

// Threads take turns, and change only where they wait: plain code is atomic.
int atomicCAS(int* address, int compare, int value);
int atomicAdd(int* address, int value);
float atomicAdd(float* address, float value);
double atomicAdd(double* address, double value);
int atomicMax(int* address, int value);
int atomicMin(int* address, int value);
int atomicExch(int* address, int value);

using std::max;
using std::min;
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
double cospi(double x);
