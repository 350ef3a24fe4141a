#include "cohort/cluster/foreign_text.h"

#include <fmt/format.h>

#include <cstdint>

namespace cohort::cluster {
namespace {

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: no UTF-8
};

// The first character of a text that is not empty (RFC 3629).
Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  uint32_t code = lead & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  if (code < kSmallest[bytes] || code > 0x10ffff || surrogate) return {};
  return {code, bytes};
}

// Controls of both sets, separators of lines, and what changes the direction of writing.
bool moves_text(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

std::string escaped(uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  return code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

std::string show(std::string_view text, size_t max_bytes, std::string_view kept) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const Character next = first_character(text.substr(at));
    const size_t bytes = next.bytes == 0 ? 1 : next.bytes;
    const bool plain =
        next.bytes > 0 && (!moves_text(next.code) || kept.find(text[at]) != std::string_view::npos);
    const std::string piece = plain ? std::string(text.substr(at, bytes))
                              : next.bytes == 0
                                  ? fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]))
                                  : escaped(next.code);
    if (shown.size() + piece.size() > max_bytes)
      return shown + fmt::format("... ({} bytes)", text.size());
    shown += piece;
    at += bytes;
  }
  return shown;
}

}  // namespace

std::string printable(std::string_view text, size_t max_bytes) { return show(text, max_bytes, ""); }

std::string printable_lines(std::string_view text, size_t max_bytes) {
  return show(text, max_bytes, "\n\t");
}

}  // namespace cohort::cluster
