#include "core/runtime/philox.h"

#include <cmath>
#include <numbers>

namespace cohort {
namespace {

uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

uint64_t philox_stream(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

uint64_t philox_key(uint64_t seed, uint64_t stream, int64_t step, int64_t micro_step) {
  uint64_t key = mix(seed);
  key = mix(key ^ stream);
  key = mix(key ^ static_cast<uint64_t>(step));
  return mix(key ^ static_cast<uint64_t>(micro_step));
}

std::array<uint32_t, 4> philox_block(uint64_t key, uint64_t block, uint32_t plane) {
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

double philox_normal(uint32_t upper, uint32_t lower) {
  const double u = (static_cast<double>(upper) + 1) * 0x1p-32;
  const double w = static_cast<double>(lower) * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * w);
}

uint32_t philox_drop_threshold(double rate) {
  return static_cast<uint32_t>(std::ceil(rate * 0x1p24));
}

}  // namespace cohort
