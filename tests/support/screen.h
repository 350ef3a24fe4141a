#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace cohort::testing {

/// What a person sees of the bytes that go to a terminal of `columns` columns: an emulation of the
/// xterm's, as far as this project needs it. Throws std::runtime_error for what it does not know.
class Screen {
 public:
  explicit Screen(size_t columns) : columns_(columns) {}

  void write(std::string_view bytes);
  /// Rows keep their text as far as it fits: nothing is wrapped anew.
  void resize(size_t columns);

  /// Without blanks behind the text and without empty rows at the end.
  std::vector<std::string> rows() const;
  /// Where the next character goes; columns() where a row has just been filled.
  size_t cursor_row() const { return row_; }
  size_t cursor_column() const { return column_; }
  size_t columns() const { return columns_; }

 private:
  using Row = std::vector<std::string>;  ///< of cells; "" is what a wide character covers, too

  size_t take_escape(std::string_view bytes);
  void put(const std::string& character, size_t width);
  Row& row();

  size_t columns_;
  std::vector<Row> rows_;
  size_t row_ = 0, column_ = 0;
};

/// A real pseudo-terminal in the place of standard output and standard error, with a screen. What
/// fails while it is there is not seen: take what is to be expected out of it.
class TerminalScope {
 public:
  explicit TerminalScope(size_t columns, size_t lines = 24);
  ~TerminalScope();
  TerminalScope(const TerminalScope&) = delete;
  TerminalScope& operator=(const TerminalScope&) = delete;

  void resize(size_t columns);
  /// The screen with all that was written so far.
  const Screen& screen();
  std::vector<std::string> rows() { return screen().rows(); }
  /// All bytes so far.
  const std::string& bytes();

 private:
  void set_size(size_t columns);
  void catch_up();

  size_t lines_;
  int master_ = -1, slave_ = -1, stdout_ = -1, stderr_ = -1;
  int marks_ = 0;
  std::string bytes_, unread_;
  Screen screen_;
};

/// Sets an environment variable, or unsets it (null), for a scope.
class VariableScope {
 public:
  VariableScope(const char* name, const char* value);
  ~VariableScope();
  VariableScope(const VariableScope&) = delete;
  VariableScope& operator=(const VariableScope&) = delete;

 private:
  const char* name_;
  bool was_set_;
  std::string before_;
};

}  // namespace cohort::testing
