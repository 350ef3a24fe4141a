#include "tests/support/screen.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace cohort::testing {
namespace {

void want(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("screen: " + what);
}

/// Bytes of the UTF-8 character that `text` begins with; 0: it is none.
size_t character_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t bytes = first < 0x80   ? 1
                       : first < 0xc2 ? 0
                       : first < 0xe0 ? 2
                       : first < 0xf0 ? 3
                                      : 4;
  if (bytes > text.size() || first > 0xf4) return 0;
  for (size_t i = 1; i < bytes; ++i)
    if ((text[i] & 0xc0) != 0x80) return 0;
  return bytes;
}

char32_t code_point(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]);
  char32_t code = static_cast<unsigned char>(character[0]) & (0x7fu >> character.size());
  for (const char c : character.substr(1))
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  return code;
}

/// Unicode's East Asian wide and full-width blocks, and marks that combine.
size_t width_of(char32_t code) {
  struct Range {
    char32_t first, last;
  };
  constexpr std::array kNone = {Range{0x300, 0x36f}, Range{0x200b, 0x200f}, Range{0xfe00, 0xfe0f}};
  constexpr std::array kWide = {Range{0x1100, 0x115f},   Range{0x2e80, 0xa4cf},
                                Range{0xac00, 0xd7a3},   Range{0xf900, 0xfaff},
                                Range{0xfe30, 0xfe6f},   Range{0xff00, 0xff60},
                                Range{0x1f300, 0x1faff}, Range{0x20000, 0x3fffd}};
  const auto holds = [code](const Range& r) { return r.first <= code && code <= r.last; };
  if (std::any_of(kNone.begin(), kNone.end(), holds)) return 0;
  return std::any_of(kWide.begin(), kWide.end(), holds) ? 2 : 1;
}

}  // namespace

Screen::Row& Screen::row() {
  while (rows_.size() <= row_) rows_.emplace_back();
  rows_[row_].resize(columns_, " ");
  return rows_[row_];
}

void Screen::put(const std::string& character, size_t width) {
  if (width == 0) {
    size_t at = std::min(column_, columns_);
    while (at > 0 && row()[at - 1].empty()) --at;
    if (at > 0) row()[at - 1] += character;
    return;
  }
  if (column_ + width > columns_) {
    ++row_;
    column_ = 0;
  }
  row()[column_] = character;
  for (size_t i = 1; i < width; ++i) row()[column_ + i].clear();
  column_ += width;
}

/// "\x1b[…K" erases, "\x1b[…m" colours.
size_t Screen::take_escape(std::string_view bytes) {
  const size_t end = bytes.find_first_not_of("0123456789;", 2);
  want(bytes.starts_with("\x1b[") && end != bytes.npos, "got half an escape sequence");
  want(bytes[end] == 'm' || (bytes[end] == 'K' && end == 2), "got an unknown escape sequence");
  if (bytes[end] == 'K')
    std::fill(row().begin() + static_cast<ptrdiff_t>(std::min(column_, columns_ - 1)), row().end(),
              " ");
  return end + 1;
}

void Screen::write(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t size = 1;
    if (bytes[0] == '\x1b') {
      size = take_escape(bytes);
    } else if (bytes[0] == '\r') {
      column_ = 0;
    } else if (bytes[0] == '\n') {
      ++row_;  // the terminal's driver puts "\r" before it
      row();
    } else {
      size = character_bytes(bytes);
      want(size > 0, "got what is no UTF-8");
      const char32_t code = code_point(bytes.substr(0, size));
      want(code >= 0x20 && (code < 0x7f || code >= 0xa0), "got a control character");
      put(std::string(bytes.substr(0, size)), width_of(code));
    }
    bytes.remove_prefix(size);
  }
}

void Screen::resize(size_t columns) {
  columns_ = columns;
  column_ = std::min(column_, columns - 1);
  for (Row& row : rows_) row.resize(columns, " ");
}

std::vector<std::string> Screen::rows() const {
  std::vector<std::string> texts;
  for (const Row& row : rows_) {
    std::string text;
    for (const std::string& cell : row) text += cell;
    texts.push_back(text.substr(0, text.find_last_not_of(' ') + 1));
  }
  while (!texts.empty() && texts.back().empty()) texts.pop_back();
  return texts;
}

TerminalScope::TerminalScope(size_t columns, size_t lines) : lines_(lines), screen_(columns) {
  master_ = ::posix_openpt(O_RDWR | O_NOCTTY);
  want(master_ >= 0 && ::grantpt(master_) == 0 && ::unlockpt(master_) == 0, "posix_openpt");
  slave_ = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
  want(slave_ >= 0, "ptsname");
  set_size(columns);
  std::fflush(stdout);
  stdout_ = ::dup(STDOUT_FILENO);
  stderr_ = ::dup(STDERR_FILENO);
  ::dup2(slave_, STDOUT_FILENO);
  ::dup2(slave_, STDERR_FILENO);
}

TerminalScope::~TerminalScope() {
  std::fflush(stdout);
  ::dup2(stdout_, STDOUT_FILENO);
  ::dup2(stderr_, STDERR_FILENO);
  for (const int descriptor : {stdout_, stderr_, slave_, master_}) ::close(descriptor);
}

void TerminalScope::set_size(size_t columns) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(lines_);
  want(::ioctl(master_, TIOCSWINSZ, &size) == 0, "TIOCSWINSZ");
}

void TerminalScope::resize(size_t columns) {
  catch_up();
  set_size(columns);
  screen_.resize(columns);
}

const Screen& TerminalScope::screen() {
  catch_up();
  return screen_;
}

const std::string& TerminalScope::bytes() {
  catch_up();
  return bytes_;
}

/// Reads up to a mark of its own, for what is written takes a while to come.
void TerminalScope::catch_up() {
  std::fflush(stdout);
  const std::string mark = "\x1b]" + std::to_string(++marks_) + "\x07";
  want(::write(slave_, mark.data(), mark.size()) == static_cast<ssize_t>(mark.size()), "write");
  size_t at = 0;
  while ((at = unread_.find(mark)) == std::string::npos) {
    std::array<char, 4096> piece;
    const ssize_t size = ::read(master_, piece.data(), piece.size());
    want(size > 0, "read");
    unread_.append(piece.data(), static_cast<size_t>(size));
  }
  screen_.write(std::string_view(unread_).substr(0, at));
  bytes_ += unread_.substr(0, at);
  unread_.erase(0, at + mark.size());
}

VariableScope::VariableScope(const char* name, const char* value) : name_(name) {
  const char* before = std::getenv(name);
  was_set_ = before != nullptr;
  before_ = was_set_ ? before : "";
  if (value)
    ::setenv(name, value, 1);
  else
    ::unsetenv(name);
}

VariableScope::~VariableScope() {
  if (was_set_)
    ::setenv(name_, before_.c_str(), 1);
  else
    ::unsetenv(name_);
}

}  // namespace cohort::testing
