#include <bit>

#include "cohort/core/error.h"
#include "cohort/core/wire/protobuf.h"
#include "cohort/core/wire/varint.h"

namespace cohort::wire {
namespace {

constexpr int kMaxDepth = 64;

}  // namespace

bool Reader::next() {
  if (at_ == data_.size()) return false;
  const uint64_t tag = take_varint();
  const uint64_t field = tag >> 3, type = tag & 7;
  field_ = static_cast<int>(field);
  if (field == 0 || field > (1u << 29) - 1) fail("a field number out of range", "1 to 2^29 - 1");
  if (type != 0 && type != 1 && type != 2 && type != 5)
    fail(fmt::format("wire type {}", type), "0, 1, 2 or 5");
  type_ = static_cast<WireType>(type);
  return true;
}

void Reader::fail(std::string_view got, std::string_view want) const {
  throw DataLoss("{}: field {}, byte {}: got {}; want {}", where_, field_, at_, got, want);
}

void Reader::expect(WireType type) {
  if (type_ != type)
    fail(fmt::format("wire type {}", static_cast<int>(type_)),
         fmt::format("{}", static_cast<int>(type)));
}

uint64_t Reader::take_varint() {
  uint64_t value = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    if (at_ == data_.size()) fail("the end of the message", "the rest of a number");
    const auto byte = static_cast<uint8_t>(data_[at_++]);
    if (i == kMaxVarintBytes - 1 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return value;
  }
  fail("a number of more than 64 bits", "at most ten bytes");
}

uint64_t Reader::take_fixed(size_t bytes) {
  if (data_.size() - at_ < bytes) fail("the end of the message", fmt::format("{} bytes", bytes));
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= static_cast<uint64_t>(static_cast<uint8_t>(data_[at_++])) << (8 * i);
  return value;
}

std::string_view Reader::take_bytes() {
  const uint64_t size = take_varint();
  if (size > data_.size() - at_)
    fail(fmt::format("a length of {}", size), fmt::format("at most {}", data_.size() - at_));
  const std::string_view bytes = data_.substr(at_, size);
  at_ += size;
  return bytes;
}

uint64_t Reader::read_uint() {
  expect(WireType::kVarint);
  return take_varint();
}

int64_t Reader::read_sint() { return unzigzag(read_uint()); }

bool Reader::read_bool() {
  const uint64_t value = read_uint();
  if (value > 1) fail(fmt::format("{}", value), "0 or 1");
  return value == 1;
}

uint32_t Reader::read_fixed32() {
  expect(WireType::kFixed32);
  return static_cast<uint32_t>(take_fixed(4));
}

uint64_t Reader::read_fixed64() {
  expect(WireType::kFixed64);
  return take_fixed(8);
}

float Reader::read_float() { return std::bit_cast<float>(read_fixed32()); }
double Reader::read_double() { return std::bit_cast<double>(read_fixed64()); }

std::string_view Reader::read_bytes() {
  expect(WireType::kBytes);
  return take_bytes();
}

Reader Reader::read_message() {
  if (depth_ == kMaxDepth) fail("a deeper message", fmt::format("at most {} levels", kMaxDepth));
  return Reader(read_bytes(), where_, depth_ + 1);
}

void Reader::read_sints(std::vector<int64_t>& values) {
  if (type_ == WireType::kVarint) {
    values.push_back(read_sint());
    return;
  }
  Reader packed(read_bytes(), where_, depth_);
  packed.field_ = field_;
  while (packed.at_ < packed.data_.size()) values.push_back(unzigzag(packed.take_varint()));
}

void Reader::read_uints(std::vector<uint64_t>& values) {
  if (type_ == WireType::kVarint) {
    values.push_back(read_uint());
    return;
  }
  Reader packed(read_bytes(), where_, depth_);
  packed.field_ = field_;
  while (packed.at_ < packed.data_.size()) values.push_back(packed.take_varint());
}

void Reader::read_doubles(std::vector<double>& values) {
  if (type_ == WireType::kFixed64) {
    values.push_back(read_double());
    return;
  }
  Reader packed(read_bytes(), where_, depth_);
  packed.field_ = field_;
  while (packed.at_ < packed.data_.size())
    values.push_back(std::bit_cast<double>(packed.take_fixed(8)));
}

void Reader::skip() {
  switch (type_) {
    case WireType::kVarint:
      take_varint();
      break;
    case WireType::kFixed64:
      take_fixed(8);
      break;
    case WireType::kBytes:
      take_bytes();
      break;
    case WireType::kFixed32:
      take_fixed(4);
      break;
  }
}

}  // namespace cohort::wire
