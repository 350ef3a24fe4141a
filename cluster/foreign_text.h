#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cohort::cluster {

/// `text` that somebody else wrote, as it may stand in a message or a log: what would move a
/// terminal's cursor, end a line or turn its direction, and bytes that are no UTF-8, are written as
/// \n, \x1b or \u202e, and what is longer than `max_bytes` is cut, with its length. At most
/// max_bytes + 40 bytes.
std::string printable(std::string_view text, size_t max_bytes);

/// The same for an error of several lines: line feeds and tabs stay as they are.
std::string printable_lines(std::string_view text, size_t max_bytes);

}  // namespace cohort::cluster
