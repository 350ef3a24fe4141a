#include <nmmintrin.h>

#include <cstring>

#include "cohort/core/wire/crc32c.h"

namespace cohort::wire {
namespace {

[[gnu::target("sse4.2")]] uint32_t crc32c_sse42(const void* data, size_t size, uint32_t before) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint64_t crc = ~before;
  for (; size >= 8; size -= 8, bytes += 8) {
    uint64_t word;
    std::memcpy(&word, bytes, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto rest = static_cast<uint32_t>(crc);
  for (; size > 0; --size, ++bytes) rest = _mm_crc32_u8(rest, *bytes);
  return ~rest;
}

}  // namespace

internal::Crc32cFunction internal::crc32c_hardware() {
  return __builtin_cpu_supports("sse4.2") ? crc32c_sse42 : nullptr;
}

}  // namespace cohort::wire
