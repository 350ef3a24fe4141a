#pragma once

#include <omp.h>

#include <cstdint>

namespace cohort::cpu {

/// A fork costs about 2 µs: work below these stays on the calling thread.
inline constexpr int64_t kForkFlops = 1 << 20;
inline constexpr int64_t kForkBytes = 256 << 10;

/// The number of equal items from which a fork pays, when one item costs this much.
inline int64_t grain_for(int64_t flops_each, int64_t bytes_each) {
  const int64_t by_flops = flops_each > 0 ? kForkFlops / flops_each + 1 : INT64_MAX;
  const int64_t by_bytes = bytes_each > 0 ? kForkBytes / bytes_each + 1 : INT64_MAX;
  return by_flops < by_bytes ? by_flops : by_bytes;
}

/// Calls fn(begin, end) for contiguous parts of [0, n), one for each of `num_threads` threads of
/// the calling device's team; part t is [n t / T, n (t + 1) / T), so the same thread owns the same
/// rows in every kernel of a step. With fewer than `grain` items, or one thread, the caller does
/// all of it. fn must not throw, and its results must not depend on where the parts begin.
template <class Fn>
void parallel_for(int num_threads, int64_t n, int64_t grain, Fn&& fn) {
  if (n <= 0) return;
  if (num_threads <= 1 || n < grain || n < 2) {
    fn(int64_t{0}, n);
    return;
  }
#pragma omp parallel num_threads(num_threads)
  {
    const int64_t threads = omp_get_num_threads();
    const int64_t t = omp_get_thread_num();
    const int64_t begin = n * t / threads;
    const int64_t end = n * (t + 1) / threads;
    if (begin < end) fn(begin, end);
  }
}

}  // namespace cohort::cpu
