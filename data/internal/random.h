#pragma once

#include <cstdint>

namespace cohort::data {

/// SplitMix64's output function (Steele, Lea, Flood 2014): a bijection that mixes all bits.
constexpr uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// A counter-based generator: draw number `counter` under `key` is a pure function of both, so an
/// order depends on no thread and can be entered anywhere.
struct CounterRandom {
  uint64_t key = 0;

  uint64_t bits(uint64_t counter) const { return mix(key ^ mix(counter)); }
  /// In [0, bound), bound > 0. Unequal by at most bound / 2^64.
  uint64_t below(uint64_t bound, uint64_t counter) const {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(bits(counter)) * bound) >> 64);
  }
};

}  // namespace cohort::data
