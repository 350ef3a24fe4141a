// The processor's instruction takes 8 bytes in one cycle and has its result three cycles later, so
// three streams of bytes are summed beside each other. A sum is linear over GF(2): that of bytes
// a b c is shift(shift(crc(a)) ^ crc(b)) ^ crc(c), where shift appends as many zeros as a stream
// has bytes; crc(b) and crc(c) begin with 0.
#include <nmmintrin.h>

#include <array>
#include <cstring>

#include "cohort/core/wire/crc32c.h"

namespace cohort::wire {
namespace {

constexpr size_t kStreamBytes = 4096;

/// What kStreamBytes zeros make of a sum (of its register, without the inversions).
class Shift {
 public:
  Shift() {
    // The columns of the operator for 2^n zero bits, squared until there are enough.
    std::array<uint32_t, 32> columns;
    columns[0] = 0x82f63b78;
    for (size_t bit = 1; bit < 32; ++bit) columns[bit] = uint32_t{1} << (bit - 1);
    for (size_t bits = 1; bits < 8 * kStreamBytes; bits *= 2) {
      const std::array<uint32_t, 32> before = columns;
      for (size_t bit = 0; bit < 32; ++bit) columns[bit] = apply(before, before[bit]);
    }
    for (size_t byte = 0; byte < 4; ++byte)
      for (uint32_t value = 0; value < 256; ++value)
        table_[byte][value] = apply(columns, value << (8 * byte));
  }

  uint32_t operator()(uint32_t crc) const {
    return table_[0][crc & 255] ^ table_[1][crc >> 8 & 255] ^ table_[2][crc >> 16 & 255] ^
           table_[3][crc >> 24];
  }

 private:
  static uint32_t apply(const std::array<uint32_t, 32>& columns, uint32_t crc) {
    uint32_t result = 0;
    for (size_t bit = 0; bit < 32; ++bit)
      if (crc >> bit & 1) result ^= columns[bit];
    return result;
  }

  std::array<std::array<uint32_t, 256>, 4> table_;
};

uint64_t word_at(const unsigned char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

[[gnu::target("sse4.2")]] uint32_t crc32c_sse42(const void* data, size_t size, uint32_t before) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint64_t crc = ~before;
  if (size >= 3 * kStreamBytes) {
    static const Shift shift;
    for (; size >= 3 * kStreamBytes; size -= 3 * kStreamBytes, bytes += 3 * kStreamBytes) {
      uint64_t second = 0, third = 0;
      for (size_t i = 0; i < kStreamBytes; i += 8) {
        crc = _mm_crc32_u64(crc, word_at(bytes + i));
        second = _mm_crc32_u64(second, word_at(bytes + kStreamBytes + i));
        third = _mm_crc32_u64(third, word_at(bytes + 2 * kStreamBytes + i));
      }
      crc = shift(shift(static_cast<uint32_t>(crc)) ^ static_cast<uint32_t>(second)) ^ third;
    }
  }
  for (; size >= 8; size -= 8, bytes += 8) crc = _mm_crc32_u64(crc, word_at(bytes));
  auto rest = static_cast<uint32_t>(crc);
  for (; size > 0; --size, ++bytes) rest = _mm_crc32_u8(rest, *bytes);
  return ~rest;
}

}  // namespace

internal::Crc32cFunction internal::crc32c_hardware() {
  return __builtin_cpu_supports("sse4.2") ? crc32c_sse42 : nullptr;
}

}  // namespace cohort::wire
