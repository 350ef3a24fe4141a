#include "cohort/core/wire/crc32c.h"

#include <array>
#include <cstring>

namespace cohort::wire {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78u;  // reflected
constexpr uint32_t kMaskDelta = 0xa282ead8u;

using Table = std::array<std::array<uint32_t, 256>, 8>;

/// kTable[k][b]: what byte b contributes when k more bytes follow it ("slicing by eight").
constexpr Table make_table() {
  Table table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    table[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t byte = 0; byte < 256; ++byte)
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff];
  return table;
}
constexpr Table kTable = make_table();

}  // namespace

uint32_t internal::crc32c_portable(const void* data, size_t size, uint32_t before) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  uint32_t crc = ~before;
  for (; size >= 8; size -= 8, bytes += 8) {
    const uint32_t low = crc ^ (static_cast<uint32_t>(bytes[0]) | bytes[1] << 8 | bytes[2] << 16 |
                                static_cast<uint32_t>(bytes[3]) << 24);
    crc = kTable[7][low & 0xff] ^ kTable[6][low >> 8 & 0xff] ^ kTable[5][low >> 16 & 0xff] ^
          kTable[4][low >> 24] ^ kTable[3][bytes[4]] ^ kTable[2][bytes[5]] ^ kTable[1][bytes[6]] ^
          kTable[0][bytes[7]];
  }
  for (; size > 0; --size, ++bytes) crc = (crc >> 8) ^ kTable[0][(crc ^ *bytes) & 0xff];
  return ~crc;
}

uint32_t crc32c(const void* data, size_t size, uint32_t before) {
  static const internal::Crc32cFunction function =
      internal::crc32c_hardware() ? internal::crc32c_hardware() : internal::crc32c_portable;
  return function(data, size, before);
}

uint32_t mask_crc32c(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + kMaskDelta; }

uint32_t unmask_crc32c(uint32_t masked) {
  const uint32_t rotated = masked - kMaskDelta;
  return (rotated >> 17) | (rotated << 15);
}

}  // namespace cohort::wire
