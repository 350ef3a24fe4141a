#include "cohort/data/internal/convert.h"

#include <cstring>

namespace cohort::data {
namespace {

/// Pixels to floats. Blocks of constant length are vectorised at every optimisation level.
void convert_pixels(const uint8_t* __restrict from, float* __restrict to, int64_t count,
                    float scale) {
  constexpr int64_t kBlock = 16;
  int64_t i = 0;
  for (; i + kBlock <= count; i += kBlock)
    for (int64_t j = 0; j < kBlock; ++j) to[i + j] = static_cast<float>(from[i + j]) * scale;
  for (; i < count; ++i) to[i] = static_cast<float>(from[i]) * scale;
}

template <class From, class To>
void convert_any(const From* __restrict from, To* __restrict to, int64_t count, double scale) {
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (std::is_same_v<To, bool>) {
      to[i] = static_cast<double>(from[i]) != 0;
    } else if constexpr (std::is_same_v<To, double>) {
      to[i] = static_cast<double>(from[i]) * scale;
    } else if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
      to[i] = static_cast<To>(from[i]);
    } else if constexpr (std::is_integral_v<To>) {
      to[i] = static_cast<To>(static_cast<double>(from[i]));
    } else {
      to[i] = static_cast<To>(static_cast<float>(from[i]) * static_cast<float>(scale));
    }
  }
}

}  // namespace

void convert(DType from_dtype, const void* from, DType to_dtype, void* to, int64_t count,
             double scale) {
  if (from_dtype == DType::kU8 && to_dtype == DType::kF32) {
    convert_pixels(static_cast<const uint8_t*>(from), static_cast<float*>(to), count,
                   static_cast<float>(scale));
    return;
  }
  visit_dtype(from_dtype, [&](auto from_tag) {
    visit_dtype(to_dtype, [&](auto to_tag) {
      convert_any(static_cast<const decltype(from_tag)*>(from), static_cast<decltype(to_tag)*>(to),
                  count, scale);
    });
  });
}

}  // namespace cohort::data
