#include "cohort/core/dtype.h"

#include <fmt/format.h>

#include <array>
#include <string>

namespace cohort {
namespace {

struct Info {
  std::string_view name;
  size_t bytes;
};

constexpr std::array<Info, 9> kInfo = {{{"float32", 4},
                                        {"float16", 2},
                                        {"bfloat16", 2},
                                        {"float64", 8},
                                        {"int32", 4},
                                        {"int64", 8},
                                        {"uint8", 1},
                                        {"int8", 1},
                                        {"bool", 1}}};

}  // namespace

void internal::refuse_dtype(DType dtype) {
  throw Internal("visit_dtype: got dtype number {}", static_cast<int>(dtype));
}

Half::Half(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (u >> 16) & 0x8000u;
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    bits = static_cast<uint16_t>(sign | 0x7e00u);
  } else if (magnitude >= 0x477ff000u) {  // rounds past the largest half
    bits = static_cast<uint16_t>(sign | 0x7c00u);
  } else if (magnitude < 0x38800000u) {  // subnormal half: let the float adder round
    const float rounded = std::bit_cast<float>(magnitude) + 0.5f;
    bits = static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3f000000u));
  } else {
    const uint32_t odd = (magnitude >> 13) & 1u;
    bits = static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
  }
}

Half::operator float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude << 13));
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

size_t size_of(DType dtype) { return kInfo[static_cast<size_t>(dtype)].bytes; }

std::string_view dtype_name(DType dtype) { return kInfo[static_cast<size_t>(dtype)].name; }

DType parse_dtype(std::string_view name) {
  std::string known;
  for (size_t i = 0; i < kInfo.size(); ++i) {
    if (kInfo[i].name == name) return static_cast<DType>(i);
    known += known.empty() ? "" : ", ";
    known += kInfo[i].name;
  }
  throw InvalidArgument("dtype: got \"{}\"; want one of {}", name, known);
}

bool is_floating(DType dtype) { return dtype <= DType::kF64; }
bool is_integer(DType dtype) { return dtype >= DType::kI32 && dtype <= DType::kI8; }

}  // namespace cohort

fmt::format_context::iterator fmt::formatter<cohort::DType>::format(
    cohort::DType dtype, fmt::format_context& context) const {
  return fmt::formatter<std::string_view>::format(cohort::dtype_name(dtype), context);
}
