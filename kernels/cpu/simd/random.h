#pragma once

#include <cstddef>
#include <cstdint>

namespace cohort::cpu {

/// A slice of a stream of core/runtime/philox.h: elements first, first + 1, ... of the global
/// batch. Any first is allowed; slices of one stream joined give the bits of the whole.
struct PhiloxSlice {
  std::uint64_t key = 0;
  std::uint64_t first = 0;
};

/// Bits and definitions are those of core/runtime/philox.h, which has them one number at a time.
struct RandomRoutines {
  /// philox_word(key, first + i, plane) for i < count.
  void (*words)(PhiloxSlice stream, std::uint32_t plane, std::uint32_t* words,
                std::ptrdiff_t count);
};

template <class T>
struct FloatRandomRoutines {
  /// y = low + (high - low) u, u = philox_uniform_float or _double.
  void (*uniform)(PhiloxSlice stream, T low, T high, T* y, std::ptrdiff_t count);
  /// y = mean + stddev z, z = philox_normal, rounded to T once it is scaled.
  void (*normal)(PhiloxSlice stream, double mean, double stddev, T* y, std::ptrdiff_t count);
  /// y = x * scale where the element is kept ((word >> 8) >= threshold, see philox_drop_threshold),
  /// else 0. Its own gradient: called with dy it gives dx. y may be x.
  void (*dropout)(PhiloxSlice stream, std::uint32_t threshold, T scale, const T* x, T* y,
                  std::ptrdiff_t count);
};

}  // namespace cohort::cpu
