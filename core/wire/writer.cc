#include <bit>

#include "cohort/core/wire/protobuf.h"
#include "cohort/core/wire/varint.h"

namespace cohort::wire {
namespace {

/// Little-endian on every machine.
void append_fixed(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

}  // namespace

void Writer::write_tag(int field, WireType type) {
  append_varint(data_, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(type));
}

void Writer::write_uint(int field, uint64_t value) {
  write_tag(field, WireType::kVarint);
  append_varint(data_, value);
}

void Writer::write_int(int field, int64_t value) {
  write_uint(field, static_cast<uint64_t>(value));
}

void Writer::write_sint(int field, int64_t value) { write_uint(field, zigzag(value)); }

void Writer::write_fixed32(int field, uint32_t value) {
  write_tag(field, WireType::kFixed32);
  append_fixed(data_, value, 4);
}

void Writer::write_fixed64(int field, uint64_t value) {
  write_tag(field, WireType::kFixed64);
  append_fixed(data_, value, 8);
}

void Writer::write_float(int field, float value) {
  write_fixed32(field, std::bit_cast<uint32_t>(value));
}

void Writer::write_double(int field, double value) {
  write_fixed64(field, std::bit_cast<uint64_t>(value));
}

void Writer::write_bytes(int field, std::string_view value) {
  write_tag(field, WireType::kBytes);
  append_varint(data_, value.size());
  data_ += value;
}

void Writer::write_packed_sint(int field, std::span<const int64_t> values) {
  std::string packed;
  for (int64_t value : values) append_varint(packed, zigzag(value));
  write_bytes(field, packed);
}

void Writer::write_packed_uint(int field, std::span<const uint64_t> values) {
  std::string packed;
  for (uint64_t value : values) append_varint(packed, value);
  write_bytes(field, packed);
}

void Writer::write_packed_double(int field, std::span<const double> values) {
  std::string packed;
  for (double value : values) append_fixed(packed, std::bit_cast<uint64_t>(value), 8);
  write_bytes(field, packed);
}

}  // namespace cohort::wire
