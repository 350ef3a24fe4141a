#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "cohort/core/wire/crc32c.h"
#include "cohort/core/wire/hash.h"
#include "cohort/core/wire/protobuf.h"
#include "cohort/core/wire/varint.h"
#include "tests/support/expect_error.h"

namespace cohort::wire {
namespace {

using testing::expect_error;

uint32_t crc_of(std::string_view text) { return crc32c(text.data(), text.size()); }

std::string random_bytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(Crc32cTest, AgreesWithPublishedValues) {
  EXPECT_EQ(crc_of(""), 0u);
  EXPECT_EQ(crc_of("123456789"), 0xe3069283u);
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8a9136aau);    // RFC 3720, B.4
  EXPECT_EQ(crc_of(std::string(32, '\xff')), 0x62a8ab43u);  // RFC 3720, B.4
}

TEST(Crc32cTest, HardwareAndTableAgreeAtEverySizeAndAlignment) {
  const auto hardware = internal::crc32c_hardware();
  if (!hardware) GTEST_SKIP() << "this processor has no CRC-32C instruction";
  const std::string bytes = random_bytes(300, 1);
  for (size_t begin = 0; begin < 9; ++begin)
    for (size_t size = 0; size + begin <= bytes.size(); size += 7)
      EXPECT_EQ(hardware(bytes.data() + begin, size, 5),
                internal::crc32c_portable(bytes.data() + begin, size, 5));
  const std::string more = random_bytes(50'000, 3);  // three streams beside each other
  for (const size_t size : {4096, 12'287, 12'288, 12'300, 24'576, 36'871, 49'991})
    for (size_t begin = 0; begin < 9; ++begin)
      EXPECT_EQ(hardware(more.data() + begin, size, 7),
                internal::crc32c_portable(more.data() + begin, size, 7));
}

TEST(Crc32cTest, ContinuesOverPieces) {
  const std::string bytes = random_bytes(100, 2);
  for (size_t cut : {0, 1, 8, 50, 100})
    EXPECT_EQ(crc32c(bytes.data() + cut, bytes.size() - cut, crc32c(bytes.data(), cut)),
              crc_of(bytes));
}

TEST(Crc32cTest, MaskingIsUndone) {
  // (crc rotated right by 15) + 0xa282ead8, by hand.
  EXPECT_EQ(mask_crc32c(0x00000001u), 0x00020000u + 0xa282ead8u);
  for (uint32_t crc : {0u, 1u, 0xe3069283u, 0xffffffffu}) {
    EXPECT_EQ(unmask_crc32c(mask_crc32c(crc)), crc);
    EXPECT_NE(mask_crc32c(crc), crc);
  }
}

TEST(VarintTest, HasSevenBitsAByte) {
  std::string out;
  append_varint(out, 300);
  EXPECT_EQ(out, "\xac\x02");
  for (uint64_t value : {uint64_t{0}, uint64_t{127}, uint64_t{128}, UINT64_MAX}) {
    out.clear();
    append_varint(out, value);
    EXPECT_EQ(out.size(), static_cast<size_t>(varint_bytes(value)));
  }
  EXPECT_EQ(varint_bytes(UINT64_MAX), kMaxVarintBytes);
}

TEST(VarintTest, ZigzagMakesSmallNumbersSmall) {
  EXPECT_EQ(zigzag(0), 0u);
  EXPECT_EQ(zigzag(-1), 1u);
  EXPECT_EQ(zigzag(1), 2u);
  EXPECT_EQ(zigzag(-2), 3u);
  for (int64_t value : {INT64_MIN, int64_t{-5}, int64_t{7}, INT64_MAX})
    EXPECT_EQ(unzigzag(zigzag(value)), value);
}

TEST(Hash128Test, IsMurmurHash3) {
  EXPECT_EQ(hash128(""), (Hash128{0, 0}));
  EXPECT_EQ(hash128("hello").to_string(), "5b1e906a48ae1d19cbd8a7b341bd9b02");
  EXPECT_EQ(hash128("The quick brown fox jumps over the lazy dog").to_string(),
            "7a433ca9c49a9347e34bbc7bbc071b6c");
}

TEST(ProtobufTest, WritesWhatTheSpecificationShows) {
  Writer out;
  out.write_uint(1, 150);
  out.write_bytes(2, "testing");
  EXPECT_EQ(out.data(), "\x08\x96\x01\x12\x07testing");
  Writer packed;
  packed.write_packed_uint(6, std::vector<uint64_t>{3, 270, 86942});
  EXPECT_EQ(packed.data(), "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
}

Writer every_kind() {
  Writer inner, out;
  inner.write_sint(1, -7);
  out.write_uint(1, UINT64_MAX);
  out.write_int(2, -1);
  out.write_sint(3, INT64_MIN);
  out.write_fixed32(4, 0xdeadbeef);
  out.write_fixed64(5, 0x0123456789abcdefu);
  out.write_float(6, -1.5f);
  out.write_double(7, 1e300);
  out.write_bytes(8, std::string_view("a\0b", 3));
  out.write_message(9, inner);
  out.write_packed_sint(10, std::vector<int64_t>{-1, 0, 1000});
  out.write_packed_double(11, std::vector<double>{0.5, -0.0});
  return out;
}

TEST(ProtobufTest, ReadsWhatItWrote) {
  const Writer out = every_kind();
  Reader in(out.data(), "test");
  const auto at = [&](int field) -> Reader& {
    EXPECT_TRUE(in.next());
    EXPECT_EQ(in.field(), field);
    return in;
  };
  EXPECT_EQ(at(1).read_uint(), UINT64_MAX);
  EXPECT_EQ(at(2).read_int(), -1);
  EXPECT_EQ(at(3).read_sint(), INT64_MIN);
  EXPECT_EQ(at(4).read_fixed32(), 0xdeadbeefu);
  EXPECT_EQ(at(5).read_fixed64(), 0x0123456789abcdefu);
  EXPECT_EQ(at(6).read_float(), -1.5f);
  EXPECT_EQ(at(7).read_double(), 1e300);
  EXPECT_EQ(at(8).read_bytes(), std::string_view("a\0b", 3));
  Reader inner = at(9).read_message();
  ASSERT_TRUE(inner.next());
  EXPECT_EQ(inner.read_sint(), -7);
  std::vector<int64_t> ints;
  at(10).read_sints(ints);
  EXPECT_EQ(ints, (std::vector<int64_t>{-1, 0, 1000}));
  std::vector<double> doubles;
  at(11).read_doubles(doubles);
  EXPECT_EQ(doubles, (std::vector<double>{0.5, -0.0}));
  EXPECT_FALSE(in.next());
}

TEST(ProtobufTest, UnpackedRepeatedNumbersAreReadToo) {
  Writer out;
  out.write_sint(1, -3);
  out.write_sint(1, 4);
  Reader in(out.data(), "test");
  std::vector<int64_t> values;
  while (in.next()) in.read_sints(values);
  EXPECT_EQ(values, (std::vector<int64_t>{-3, 4}));
}

TEST(ProtobufTest, UnknownFieldsAreSkipped) {
  const Writer out = every_kind();
  Reader in(out.data(), "test");
  int fields = 0;
  while (in.next()) in.skip(), ++fields;
  EXPECT_EQ(fields, 11);
}

/// Reads the only field as bytes.
void read_one(std::string_view message) {
  Reader in(message, "record 3");
  in.next();
  in.read_bytes();
}

TEST(ProtobufTest, SaysWhereAMessageIsBroken) {
  expect_error(Code::kDataLoss, {"record 3: field 2, byte 2: got a length of 5; want at most 1"},
               [] { read_one("\x12\x05x"); });
  expect_error(Code::kDataLoss, {"got wire type 0; want 2"}, [] { read_one("\x08\x01"); });
  expect_error(Code::kDataLoss, {"got wire type 3"}, [] { read_one("\x0b"); });
  expect_error(Code::kDataLoss, {"field number out of range"}, [] { read_one({"\0", 1}); });
  expect_error(Code::kDataLoss, {"end of the message"}, [] { read_one("\x80"); });
  expect_error(Code::kDataLoss, {"more than 64 bits"}, [] {
    Reader in("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "record 3");
    in.next();
    in.read_uint();
  });
}

TEST(ProtobufTest, EveryTruncationIsNoticedOrEndsAtAField) {
  const std::string whole = every_kind().take();
  int noticed = 0;
  for (size_t size = 0; size < whole.size(); ++size) {
    Reader in(std::string_view(whole).substr(0, size), "test");
    try {
      while (in.next()) in.skip();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kDataLoss);
      ++noticed;
    }
  }
  EXPECT_EQ(noticed, static_cast<int>(whole.size()) - 11);
}

TEST(ProtobufTest, DeepNestingIsRefused) {
  Writer nested;
  for (int i = 0; i < 100; ++i) {
    Writer outer;
    outer.write_message(1, nested);
    nested = outer;
  }
  expect_error(Code::kDataLoss, {"64 levels"}, [&] {
    Reader in(nested.data(), "test");
    while (in.next()) in = in.read_message();
  });
}

}  // namespace
}  // namespace cohort::wire
