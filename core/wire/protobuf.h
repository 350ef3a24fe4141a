#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Protobuf's wire format (protobuf.dev/programming-guides/encoding), written and read by hand. The
/// schemas stand beside their users as .proto files. Fields are written in the order of the calls;
/// for one canonical form a user writes them in ascending order.
namespace cohort::wire {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// Appends fields to a message. Values equal to the type's default are written too: presence is
/// the caller's business.
class Writer {
 public:
  void write_uint(int field, uint64_t value);  ///< uint32, uint64, bool, enum
  void write_int(int field, int64_t value);    ///< int64: ten bytes when negative
  void write_sint(int field, int64_t value);   ///< sint64: zigzag
  void write_fixed32(int field, uint32_t value);
  void write_fixed64(int field, uint64_t value);
  void write_float(int field, float value);
  void write_double(int field, double value);
  void write_bytes(int field, std::string_view value);  ///< bytes, string
  void write_message(int field, const Writer& message) { write_bytes(field, message.data()); }
  void write_packed_sint(int field, std::span<const int64_t> values);  ///< repeated sint64
  void write_packed_uint(int field, std::span<const uint64_t> values);
  void write_packed_double(int field, std::span<const double> values);

  const std::string& data() const { return data_; }
  std::string take() { return std::move(data_); }

 private:
  void write_tag(int field, WireType type);
  std::string data_;
};

/// Walks over the fields of a message:
///
///   Reader reader(bytes, "graph");
///   while (reader.next()) {
///     switch (reader.field()) {
///       case 1: name = reader.read_bytes(); break;
///       default: reader.skip();
///     }
///   }
///
/// After next(), exactly one read or skip. Views point into the message. Every malformed input is a
/// DataLoss that begins with `where` and names the field and the byte.
class Reader {
 public:
  Reader(std::string_view message, std::string_view where) : Reader(message, where, 0) {}

  /// Moves to the next field; false at the end.
  bool next();
  int field() const { return field_; }
  WireType type() const { return type_; }

  uint64_t read_uint();
  int64_t read_int() { return static_cast<int64_t>(read_uint()); }
  int64_t read_sint();
  bool read_bool();
  uint32_t read_fixed32();
  uint64_t read_fixed64();
  float read_float();
  double read_double();
  std::string_view read_bytes();
  /// A reader of a nested message; at most 64 levels.
  Reader read_message();
  /// Appends one number, or all of a packed field.
  void read_sints(std::vector<int64_t>& values);
  void read_uints(std::vector<uint64_t>& values);
  void read_doubles(std::vector<double>& values);
  void skip();

  /// Throws DataLoss that says what was found wrong at the current field.
  [[noreturn]] void fail(std::string_view got, std::string_view want) const;

 private:
  Reader(std::string_view message, std::string_view where, int depth)
      : data_(message), where_(where), depth_(depth) {}
  void expect(WireType type);
  uint64_t take_varint();
  uint64_t take_fixed(size_t bytes);
  std::string_view take_bytes();

  std::string_view data_;
  std::string_view where_;
  size_t at_ = 0;
  int depth_ = 0;
  int field_ = 0;
  WireType type_ = WireType::kVarint;
};

}  // namespace cohort::wire
