#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "cohort/core/dtype.h"
#include "tests/emulated/grid.h"
#include "tests/emulated/include/cub/device/device_radix_sort.cuh"
#include "tests/emulated/include/cuda_bf16.h"
#include "tests/emulated/include/cuda_fp16.h"
#include "tests/emulated/streams.h"

namespace cohort::emulated {
namespace {

template <class T>
T replace(T* address, T value) {
  return std::exchange(*address, value);
}

constexpr unsigned kMaxThreads = 1024;

}  // namespace

uint16_t half_bits(float value) { return Half(value).bits; }
uint16_t bfloat16_bits(float value) { return BFloat16(value).bits; }

float half_value(uint16_t bits) {
  Half half;
  half.bits = bits;
  return half;
}

float bfloat16_value(uint16_t bits) {
  BFloat16 number;
  number.bits = bits;
  return number;
}

cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, Kernel kernel) {
  const std::lock_guard hold(lock());
  const dim3 blocks = config.gridDim;
  const dim3 threads = config.blockDim;
  const bool valid = blocks.x > 0 && blocks.y == 1 && blocks.z == 1 && threads.x > 0 &&
                     threads.x <= kMaxThreads && threads.y == 1 && threads.z == 1 &&
                     config.dynamicSmemBytes == 0;
  if (!valid) return cudaErrorInvalidConfiguration;
  enqueue(config.stream, [kernel = std::move(kernel), blocks, threads] {
    const std::string found = run_grid(kernel, blocks.x, static_cast<int>(threads.x));
    if (!found.empty()) fail(found);
  });
  return cudaSuccess;
}

}  // namespace cohort::emulated

using cohort::emulated::replace;

int atomicCAS(int* address, int compare, int value) {
  return replace(address, *address == compare ? value : *address);
}
int atomicAdd(int* address, int value) { return replace(address, *address + value); }
float atomicAdd(float* address, float value) { return replace(address, *address + value); }
double atomicAdd(double* address, double value) { return replace(address, *address + value); }
int atomicMax(int* address, int value) { return replace(address, std::max(*address, value)); }
int atomicMin(int* address, int value) { return replace(address, std::min(*address, value)); }
int atomicExch(int* address, int value) { return replace(address, value); }

double cospi(double x) {
  const double turn = std::fabs(std::remainder(x, 2.0));  // 0 … 1: reduced without rounding
  return turn <= 0.25  ? std::cos(M_PI * turn)
         : turn < 0.75 ? std::sin(M_PI * (0.5 - turn))
                       : -std::cos(M_PI * (1 - turn));
}

cudaError_t cub::DeviceRadixSort::SortPairs(void* storage, size_t& storage_bytes,
                                            const int32_t* keys_in, int32_t* keys_out,
                                            const int32_t* values_in, int32_t* values_out,
                                            int64_t count, int begin_bit, int end_bit,
                                            cudaStream_t stream) {
  const auto n = static_cast<size_t>(count);
  const size_t needed = 8 * n + 1;
  if (!storage) {
    storage_bytes = needed;
    return cudaSuccess;
  }
  if (storage_bytes < needed || begin_bit != 0 || end_bit != 32) return cudaErrorInvalidValue;
  const std::lock_guard hold(cohort::emulated::lock());
  cohort::emulated::enqueue(stream, [=] {
    std::memset(storage, 0xff, needed);
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return keys_in[a] < keys_in[b]; });
    for (size_t i = 0; i < n; ++i) {
      keys_out[i] = keys_in[order[i]];
      values_out[i] = values_in[order[i]];
    }
  });
  return cudaSuccess;
}
