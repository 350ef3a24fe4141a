#include "cohort/data/internal/csv_reader.h"

namespace cohort::data {
namespace {

constexpr std::string_view kFromCsv = "from_csv";
constexpr size_t kMostRecordBytes = size_t{64} << 20;

}  // namespace

CsvReader::CsvReader(const std::string& path, const CsvOptions& options)
    : file_(path, options.compression, kFromCsv),
      field_delim_(options.field_delim),
      use_quotes_(options.use_quote_delim) {
  file_.begin_text();
}

std::string_view CsvReader::field(size_t number) const {
  const size_t begin = number == 0 ? 0 : ends_[number - 1];
  return std::string_view(text_).substr(begin, ends_[number] - begin);
}

std::string CsvReader::where() const {
  return fmt::format("{}: {}: line {}", kFromCsv, file_.path(), first_line_);
}

bool CsvReader::next() {
  text_.clear();
  ends_.clear();
  state_ = State::kFieldStart;
  first_line_ = line_;
  for (std::string_view bytes = file_.ready(); !bytes.empty(); bytes = file_.ready()) {
    size_t used = 0;
    bool ended = false;
    while (used < bytes.size() && !ended) {
      const char c = bytes[used++];
      const bool second_half = c == '\n' && after_return_;
      const bool ends_line = c == '\r' || (c == '\n' && !second_half);
      after_return_ = c == '\r';
      line_ += ends_line;
      if (state_ == State::kQuoted)
        take(c);
      else if (ends_line)
        ended = end_record();
      else if (!second_half)
        take(c);
    }
    file_.consume(used);
    if (ended) return true;
    if (text_.size() + ends_.size() > kMostRecordBytes)
      throw ResourceExhausted("{}: got a record of more than {} bytes; want an end of line",
                              where(), kMostRecordBytes);
  }
  if (state_ == State::kQuoted)
    throw InvalidArgument("{}: got a quoted field without end; want a closing quote", where());
  return end_record();
}

/// False where the line was empty: the record is yet to come.
bool CsvReader::end_record() {
  const bool empty = ends_.empty() && text_.empty() && state_ != State::kQuoteInQuoted;
  if (empty) {
    state_ = State::kFieldStart;
    first_line_ = line_;
    return false;
  }
  end_field();
  return true;
}

void CsvReader::end_field() {
  ends_.push_back(text_.size());
  state_ = State::kFieldStart;
}

void CsvReader::take(char c) {
  switch (state_) {
    case State::kFieldStart:
    case State::kPlain:
      if (c == field_delim_) return end_field();
      if (c == '"' && use_quotes_) {
        if (state_ == State::kPlain)
          throw InvalidArgument("{}: got a quote within a field; want the whole field in quotes",
                                where());
        state_ = State::kQuoted;
        return;
      }
      state_ = State::kPlain;
      text_ += c;
      return;
    case State::kQuoted:
      if (c == '"')
        state_ = State::kQuoteInQuoted;
      else
        text_ += c;
      return;
    case State::kQuoteInQuoted:
      if (c == field_delim_) return end_field();
      if (c == '"') {
        text_ += c;
        state_ = State::kQuoted;
      } else {
        throw InvalidArgument(
            "{}: got \"{}\" behind a closing quote; want a delimiter or the end "
            "of the line",
            where(), c);
      }
      return;
  }
}

}  // namespace cohort::data
