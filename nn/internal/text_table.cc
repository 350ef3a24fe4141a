#include "cohort/nn/internal/text_table.h"

#include <algorithm>
#include <cmath>

#include "cohort/core/error.h"

namespace cohort::nn::internal {
namespace {

constexpr int kPadding = 1;

/// Terminal columns of UTF-8 text whose characters are one column wide.
int columns_of(const std::string& text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

/// The first `columns` characters.
std::string first_columns(const std::string& text, int columns) {
  size_t i = 0;
  for (int seen = 0; i < text.size(); ++i)
    if ((text[i] & 0xc0) != 0x80 && seen++ == columns) break;
  return text.substr(0, i);
}

/// Lines of at most `width` columns where words allow it.
std::vector<std::string> wrap(const std::string& text, int width) {
  std::vector<std::string> lines{""};
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find(' ', begin);
    end = end == std::string::npos ? text.size() : text.find_first_not_of(' ', end);
    if (end == std::string::npos) end = text.size();
    std::string word = text.substr(begin, end - begin);
    const int length = columns_of(word.substr(0, word.find_last_not_of(' ') + 1));
    if (!lines.back().empty() && columns_of(lines.back()) + length > width) lines.push_back("");
    lines.back() += word;
    begin = end;
  }
  for (std::string& line : lines) {
    line.resize(line.find_last_not_of(' ') + 1);
    if (columns_of(line) > width) line = first_columns(line, width - 1) + "…";
  }
  return lines;
}

std::string aligned(const std::string& text, int width, Align align) {
  const int space = std::max(0, width - columns_of(text));
  const int left = align == Align::kLeft ? 0 : align == Align::kRight ? space : space / 2;
  return std::string(static_cast<size_t>(left), ' ') + text +
         std::string(static_cast<size_t>(space - left), ' ');
}

}  // namespace

TextTable::TextTable(std::vector<Column> columns, int width) : columns_(std::move(columns)) {
  int excess = static_cast<int>(columns_.size()) + 1 - width;
  for (Column& column : columns_) {
    column.width += 2 * kPadding;
    excess += column.width;
  }
  auto sharing = static_cast<int>(columns_.size());
  for (Column& column : columns_) {
    const auto less = static_cast<int>(std::nearbyint(static_cast<double>(excess) / sharing--));
    column.width -= std::max(0, less);
    excess -= std::max(0, less);
    if (column.width < 2 * kPadding + 2)
      throw InvalidArgument("summary: got line_length {}; want more columns", width);
  }
}

std::string TextTable::rule(const Border& border) const {
  std::string line = border.left;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (i > 0) line += border.middle;
    for (int k = 0; k < columns_[i].width; ++k) line += border.line;
  }
  return line + border.right;
}

void TextTable::append_row(const std::vector<std::string>& cells, const char* bar,
                           std::vector<std::string>& lines) const {
  std::vector<std::vector<std::string>> wrapped;
  size_t height = 1;
  for (size_t i = 0; i < columns_.size(); ++i) {
    wrapped.push_back(wrap(cells[i], columns_[i].width - 2 * kPadding));
    height = std::max(height, wrapped.back().size());
  }
  for (size_t row = 0; row < height; ++row) {
    std::string line = bar;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string text = row < wrapped[i].size() ? wrapped[i][row] : "";
      line += " " + aligned(text, columns_[i].width - 2 * kPadding, columns_[i].align) + " " + bar;
    }
    lines.push_back(line);
  }
}

std::vector<std::string> TextTable::lines() const {
  std::vector<std::string> lines{rule({"┏", "━", "┳", "┓"})};
  std::vector<std::string> headers;
  for (const Column& column : columns_) headers.push_back(column.header);
  append_row(headers, "┃", lines);
  lines.push_back(rule({"┡", "━", "╇", "┩"}));
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (i > 0) lines.push_back(rule({"├", "─", "┼", "┤"}));
    append_row(rows_[i], "│", lines);
  }
  lines.push_back(rule({"└", "─", "┴", "┘"}));
  return lines;
}

}  // namespace cohort::nn::internal
