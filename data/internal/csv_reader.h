#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cohort/data/csv.h"
#include "cohort/data/internal/file_reader.h"

namespace cohort::data {

/// Splits a file into records and their fields.
class CsvReader {
 public:
  CsvReader(const std::string& path, const CsvOptions& options);

  /// Reads the next record; false at the end of the file. Throws InvalidArgument for quotes that
  /// stand wrong, ResourceExhausted for a record that is too long.
  bool next();
  size_t num_fields() const { return ends_.size(); }
  std::string_view field(size_t number) const;
  /// "from_csv: a.csv: line 7", the record's first.
  std::string where() const;

 private:
  enum class State { kFieldStart, kPlain, kQuoted, kQuoteInQuoted };
  bool end_record();
  void take(char c);
  void end_field();

  FileReader file_;
  char field_delim_;
  bool use_quotes_;
  State state_ = State::kFieldStart;
  bool after_return_ = false;  ///< the last byte was "\r": a "\n" belongs to the same end
  std::string text_;           ///< the fields, one after the other
  std::vector<size_t> ends_;   ///< of each, in text_
  int64_t line_ = 1;           ///< that the next byte is on
  int64_t first_line_ = 1;     ///< of the record
};

}  // namespace cohort::data
