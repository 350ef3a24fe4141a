#include "cohort/core/wire/varint.h"

namespace cohort::wire {

void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

int varint_bytes(uint64_t value) {
  int bytes = 1;
  while (value >>= 7) ++bytes;
  return bytes;
}

}  // namespace cohort::wire
