#include "cohort/core/terminal.h"

#include <locale.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <mutex>

#include "cohort/core/error.h"

namespace cohort {
namespace {

constexpr size_t kUsualColumns = 80;
constexpr size_t kWhole = std::numeric_limits<size_t>::max();
constexpr std::string_view kBeginAnew = "\r\x1b[K";  // to the beginning of the line, and erase it

bool has(const char* variable) { return std::getenv(variable) != nullptr; }

bool is_rank_of_launcher() {
  constexpr std::array kLaunchers = {"COHORT_RESTART_COUNT", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
                                     "PMIX_RANK"};
  return std::any_of(kLaunchers.begin(), kLaunchers.end(), has) ||
         (has("SLURM_PROCID") && !has("SLURM_PTY_PORT"));
}

/// Characters and their widths are UTF-8's, whatever locale the program has.
class Utf8Scope {
 public:
  Utf8Scope() : before_(::uselocale(utf8())) {}
  ~Utf8Scope() { ::uselocale(before_); }
  Utf8Scope(const Utf8Scope&) = delete;
  Utf8Scope& operator=(const Utf8Scope&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t locale = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return locale;
  }
  locale_t before_;
};

/// Bytes of the "\x1b[1;32m" that `text` begins with; 0: it does not.
size_t colour_bytes(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const size_t end = text.find_first_not_of("0123456789;", 2);
  return end != text.npos && text[end] == 'm' ? end + 1 : 0;
}

struct Character {
  size_t bytes, columns;
  bool control = false;
};

/// At most as many columns as any terminal takes for it.
Character first_character(std::string_view text) {
  constexpr wchar_t kAsEmoji = 0xfe0f;  // makes the character before it wide
  const auto is_control = [](wchar_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); };
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {1, 1, is_control(first)};
  wchar_t wide = 0;
  mbstate_t state{};
  const size_t bytes = ::mbrtowc(&wide, text.data(), text.size(), &state);
  if (bytes == 0 || bytes > text.size()) return {1, 1, true};  // no UTF-8
  if (is_control(wide)) return {bytes, 1, true};
  const int columns = wide == kAsEmoji ? 1 : ::wcwidth(wide);
  return {bytes, columns < 0 ? 2 : static_cast<size_t>(columns)};  // newer than the table: wide
}

void write(std::FILE* to, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), to);
  std::fflush(to);
}

/// Standard output's last line, of which a process has one. Never destroyed: what a program says
/// at its very end goes by it, too.
class OpenLine {
 public:
  static OpenLine& instance() {
    static OpenLine& line = *new OpenLine;
    return line;
  }

  void draw(std::string_view text) {
    const std::lock_guard lock(mutex_);
    open_ = true;
    text_ = text;
    redraw();
  }

  void end(std::string_view text) {
    const std::lock_guard lock(mutex_);
    open_ = false;
    out_ = kBeginAnew;
    append_columns(out_, text, kWhole);
    out_ += '\n';
    write(stdout, out_);
  }

  void leave() {
    const std::lock_guard lock(mutex_);
    if (open_) write(stdout, "\n");
    open_ = false;
  }

  void print_above(std::FILE* to, std::string_view lines) {
    const std::lock_guard lock(mutex_);
    if (open_) write(stdout, kBeginAnew);
    write(to, lines);
    if (open_) redraw();
  }

 private:
  void redraw() {
    out_.clear();
    append_redrawn(out_, text_, stdout_columns());
    write(stdout, out_);
  }

  std::mutex mutex_;
  bool open_ = false;  // guarded by mutex_, as all below
  std::string text_;   // as it was given
  std::string out_;    // as it is drawn
};

bool is_where_stdout_is(std::FILE* file) {
  if (file == stdout) return true;
  std::array<struct stat, 2> about;
  return ::isatty(STDOUT_FILENO) == 1 && ::isatty(::fileno(file)) == 1 &&
         ::fstat(STDOUT_FILENO, &about[0]) == 0 && ::fstat(::fileno(file), &about[1]) == 0 &&
         about[0].st_rdev == about[1].st_rdev;
}

}  // namespace

bool stdout_is_terminal() {
  const char* given = std::getenv("COHORT_TERMINAL");
  const std::string_view asked = given ? given : "";
  if (!asked.empty() && asked != "0" && asked != "1")
    throw InvalidArgument("COHORT_TERMINAL: got \"{}\"; want 0, 1 or no such variable", asked);
  return asked != "0" && ::isatty(STDOUT_FILENO) == 1 && (asked == "1" || !is_rank_of_launcher());
}

size_t stdout_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* given = std::getenv("COLUMNS");
  const int columns = given ? std::atoi(given) : 0;
  return columns > 0 ? static_cast<size_t>(columns) : kUsualColumns;
}

void append_columns(std::string& out, std::string_view text, size_t columns) {
  const Utf8Scope utf8;
  size_t used = 0;  // beyond `columns` from the first character on that does not fit
  while (!text.empty()) {
    size_t bytes = colour_bytes(text);
    if (bytes > 0) {
      out += text.substr(0, bytes);
    } else {
      const Character character = first_character(text);
      bytes = character.bytes;
      used += character.columns;
      if (used <= columns) out += character.control ? "?" : text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
}

void append_redrawn(std::string& out, std::string_view text, size_t columns) {
  out += kBeginAnew;
  append_columns(out, text, columns - std::min<size_t>(columns, 1));
}

void draw_line(std::string_view text) { OpenLine::instance().draw(text); }
void end_line(std::string_view text) { OpenLine::instance().end(text); }
void leave_line() { OpenLine::instance().leave(); }

void say(std::FILE* to, std::string_view lines) {
  if (is_where_stdout_is(to))
    OpenLine::instance().print_above(to, lines);
  else
    write(to, lines);
}

}  // namespace cohort
