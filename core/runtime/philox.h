#pragma once

#include <array>
#include <cstdint>
#include <string_view>

/// Counter-based randomness: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as
/// 1, 2, 3" (2011). A number is a function of a key and an index, so the same element gets the same
/// number on one replica or many, whoever computes it.
///
///   key    = mix(mix(mix(mix(seed) ^ stream) ^ step) ^ micro_step), where mix is the finaliser of
///            splitmix64 and stream the FNV-1a hash (64 bits) of the stream's name;
///   word i of plane p = philox4x32_10(counter {low(i / 4), high(i / 4), p, 0}, key {low, high})[i
///   % 4].
///
/// i is the element's index in the tensor of the global batch. Plane 0 serves what needs one word
/// an element (dropout, float uniforms); normals and doubles take a second word from plane 1.
namespace cohort {

uint64_t philox_stream(std::string_view name);

namespace internal {
constexpr uint64_t philox_mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
}  // namespace internal

// Functions that are constexpr are so for device code as well, which then cannot differ.

/// The key of a stream at one step. Initialisers use step 0, micro-step 0.
constexpr uint64_t philox_key(uint64_t seed, uint64_t stream, int64_t step, int64_t micro_step) {
  uint64_t key = internal::philox_mix(seed);
  key = internal::philox_mix(key ^ stream);
  key = internal::philox_mix(key ^ static_cast<uint64_t>(step));
  return internal::philox_mix(key ^ static_cast<uint64_t>(micro_step));
}

/// The four words of block `block` (elements 4 * block … 4 * block + 3) of a plane.
constexpr std::array<uint32_t, 4> philox_block(uint64_t key, uint64_t block, uint32_t plane = 0) {
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                               plane, 0};
  uint32_t k0 = static_cast<uint32_t>(key);
  uint32_t k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xd2511f53ull * c[0];
    const uint64_t p1 = 0xcd9e8d57ull * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return c;
}

constexpr uint32_t philox_word(uint64_t key, uint64_t index, uint32_t plane = 0) {
  return philox_block(key, index / 4, plane)[index % 4];
}

/// In [0, 1), a multiple of 2^-24.
constexpr float philox_uniform_float(uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}
/// In [0, 1), a multiple of 2^-53: the word of plane 0 is the upper one.
constexpr double philox_uniform_double(uint32_t upper, uint32_t lower) {
  const uint64_t bits = (static_cast<uint64_t>(upper) << 32 | lower) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}
/// Standard normal by Box and Muller: sqrt(-2 ln u) cos(2 pi w) with u = (upper + 1) / 2^32 and
/// w = lower / 2^32, in double.
double philox_normal(uint32_t upper, uint32_t lower);

/// Dropout keeps an element when (word >> 8) >= philox_drop_threshold(rate), that is when its float
/// uniform is not below `rate`.
uint32_t philox_drop_threshold(double rate);

}  // namespace cohort
