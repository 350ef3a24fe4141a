#pragma once

#include <cstdint>
#include <string>

/// Variable-length integers as Protobuf writes them: seven bits a byte, the lowest first, the top
/// bit set on all bytes but the last.
namespace cohort::wire {

inline constexpr int kMaxVarintBytes = 10;

void append_varint(std::string& out, uint64_t value);
/// Bytes that append_varint writes.
int varint_bytes(uint64_t value);

/// Small numbers of either sign become small unsigned ones: 0, -1, 1, -2 … -> 0, 1, 2, 3 …
constexpr uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
constexpr int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

}  // namespace cohort::wire
