#include "cohort/core/runtime/philox.h"

#include <cmath>
#include <numbers>

namespace cohort {

uint64_t philox_stream(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
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
