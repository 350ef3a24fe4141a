#include "cohort/checkpoint/checked_message.h"

#include <fmt/format.h>

#include "cohort/core/error.h"
#include "cohort/core/wire/crc32c.h"

namespace cohort::checkpoint {
namespace {

constexpr size_t kChecksumBytes = 5;  // a tag and four bytes
constexpr char kChecksumTag = static_cast<char>(15 << 3 | 5);

uint64_t version_of(std::string_view body, std::string_view where) {
  wire::Reader in(body, where);
  for (int field = 1; field <= 2; ++field)
    if (!in.next() || in.field() != field)
      in.fail("another field", fmt::format("field {}", field));
    else if (field == 1)
      in.read_fixed64();
  return in.read_uint();
}

}  // namespace

void begin_message(wire::Writer& out, const MessageKind& kind) {
  out.write_fixed64(1, kind.magic);
  out.write_uint(2, kind.version);
}

std::string end_message(wire::Writer out) {
  out.write_fixed32(15, wire::crc32c(out.data().data(), out.data().size()));
  return out.take();
}

std::string_view message_body(std::string_view bytes, const MessageKind& kind,
                              std::string_view where) {
  wire::Writer magic;
  magic.write_fixed64(1, kind.magic);
  if (!bytes.starts_with(magic.data()) || bytes.size() < magic.data().size() + kChecksumBytes)
    throw DataLoss("{}: got {} bytes that begin otherwise; want {}", where, bytes.size(),
                   kind.what);
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  wire::Reader last(bytes.substr(body.size()), where);
  const bool is_checksum = bytes[body.size()] == kChecksumTag && last.next();
  const uint32_t wanted = is_checksum ? last.read_fixed32() : 0;
  const uint32_t got = wire::crc32c(body.data(), body.size());
  if (!is_checksum || got != wanted)
    throw DataLoss("{}: got checksum {:08x} of {} bytes; want {:08x}: cut off or changed", where,
                   got, body.size(), wanted);
  if (const uint64_t version = version_of(body, where); version != kind.version)
    throw Unimplemented("{}: got version {}; want {}: written by a later version of Cohort", where,
                        version, kind.version);
  return body;
}

}  // namespace cohort::checkpoint
