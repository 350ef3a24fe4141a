#include "cohort/core/wire/hash.h"

#include <fmt/format.h>

#include <bit>

namespace cohort::wire {
namespace {

constexpr uint64_t kC1 = 0x87c37b91114253d5u, kC2 = 0x4cf5ad432745937fu;

/// Up to eight bytes, the first lowest.
uint64_t word(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i)
    value |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  return value;
}

uint64_t scramble_first(uint64_t k) { return std::rotl(k * kC1, 31) * kC2; }
uint64_t scramble_second(uint64_t k) { return std::rotl(k * kC2, 33) * kC1; }

uint64_t finalise(uint64_t k) {
  k = (k ^ (k >> 33)) * 0xff51afd7ed558ccdu;
  k = (k ^ (k >> 33)) * 0xc4ceb9fe1a85ec53u;
  return k ^ (k >> 33);
}

}  // namespace

std::string Hash128::to_string() const { return fmt::format("{:016x}{:016x}", high, low); }

Hash128 hash128(std::string_view bytes) {
  const uint64_t size = bytes.size();
  uint64_t h1 = 0, h2 = 0;
  for (; bytes.size() >= 16; bytes.remove_prefix(16)) {
    h1 ^= scramble_first(word(bytes.substr(0, 8)));
    h1 = (std::rotl(h1, 27) + h2) * 5 + 0x52dce729;
    h2 ^= scramble_second(word(bytes.substr(8, 8)));
    h2 = (std::rotl(h2, 31) + h1) * 5 + 0x38495ab5;
  }
  if (bytes.size() > 8) h2 ^= scramble_second(word(bytes.substr(8)));
  if (!bytes.empty()) h1 ^= scramble_first(word(bytes.substr(0, 8)));
  h1 ^= size;
  h2 ^= size;
  h1 += h2;
  h2 += h1;
  h1 = finalise(h1);
  h2 = finalise(h2);
  h1 += h2;
  h2 += h1;
  return {h1, h2};
}

}  // namespace cohort::wire
