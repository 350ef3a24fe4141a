#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cohort/data/dataset.h"

/// Files of comma-separated values, as RFC 4180 has them: records end with "\n", "\r\n" or "\r",
/// the last one's end may be missing; a field in double quotes may hold delimiters, ends of lines
/// and, doubled, quotes. Empty lines are passed over, and a byte order mark at the start of a file;
/// UTF-16 is refused. A file is read through a buffer; one record has at most 64 MiB.
namespace cohort::data {

/// What a column becomes.
class CsvColumn {
 public:
  /// A number that every record has: any dtype but bool is read as decimal, bool as 0, 1, false or
  /// true in any case. Floating ones may be nan, inf or infinity in any case; what is too small for
  /// the dtype is rounded to it, what is too large is an error.
  CsvColumn(DType dtype) : dtype_(dtype) {}  // NOLINT: lists of columns read well
  /// A scalar that stands in where a field is empty, and its dtype.
  CsvColumn(Tensor default_value);  // NOLINT
  /// The field's bytes, uint8 [L] (data/text.h).
  static CsvColumn text();

  DType dtype() const { return dtype_; }
  bool is_text() const { return is_text_; }
  const std::optional<Tensor>& default_value() const { return default_value_; }

 private:
  DType dtype_;
  bool is_text_ = false;
  std::optional<Tensor> default_value_;
};

/// tf.data.experimental.CsvDataset's.
struct CsvOptions {
  std::vector<CsvColumn> columns;  ///< of the record, or those of select_cols, in order
  Compression compression = Compression::kNone;
  bool header = false;  ///< the first record of every file is passed over
  char field_delim = ',';
  bool use_quote_delim = true;  ///< false: a double quote is a character like others
  std::string na_value = {};    ///< a field of this counts as empty
  /// Numbers of the columns to take, ascending from 0; empty: the record has exactly `columns`.
  std::vector<int> select_cols = {};
};

}  // namespace cohort::data
