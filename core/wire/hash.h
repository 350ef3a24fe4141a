#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cohort::wire {

/// 128 bits that tell contents apart; no protection against forgery.
struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
  /// 32 hexadecimal digits.
  std::string to_string() const;
};

/// MurmurHash3_x64_128 (Appleby, public domain) with seed 0: equal on every machine.
Hash128 hash128(std::string_view bytes);

}  // namespace cohort::wire
