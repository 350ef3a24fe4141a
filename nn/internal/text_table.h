#pragma once

#include <string>
#include <vector>

namespace cohort::nn::internal {

enum class Align { kLeft, kRight, kCenter };

/// A table with borders as Keras' summary() has them. Cells wrap between words; a word longer than
/// its column ends in "…".
class TextTable {
 public:
  struct Column {
    std::string header;
    Align align;
    int width;  ///< wished for; all are shortened alike until the table fits
  };
  /// `width`: columns of the terminal that the table takes, borders included.
  TextTable(std::vector<Column> columns, int width);

  void add_row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::vector<std::string> lines() const;

 private:
  struct Border {
    const char *left, *line, *middle, *right;
  };
  std::string rule(const Border& border) const;
  void append_row(const std::vector<std::string>& cells, const char* bar,
                  std::vector<std::string>& lines) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cohort::nn::internal
