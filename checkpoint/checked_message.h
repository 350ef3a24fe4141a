#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cohort/core/wire/protobuf.h"

namespace cohort::checkpoint {

/// How files of messages in Protobuf's wire format begin and end: field 1 is a fixed64 that says
/// what they are, field 2 a version, and the last field, 15, the CRC-32C of all bytes before it.
struct MessageKind {
  uint64_t magic = 0;     ///< eight characters, little-endian
  uint64_t version = 1;   ///< readers refuse others
  std::string_view what;  ///< for people: "a checkpoint's manifest"
};

/// Fields 1 and 2.
void begin_message(wire::Writer& out, const MessageKind& kind);
/// Field 15; gives the whole file.
std::string end_message(wire::Writer out);

/// All fields but the last. Throws DataLoss, beginning with `where`, on other files, and those that
/// are cut off or have a bit changed; Unimplemented for another version.
std::string_view message_body(std::string_view bytes, const MessageKind& kind,
                              std::string_view where);

}  // namespace cohort::checkpoint
