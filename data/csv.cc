#include "cohort/data/csv.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstring>
#include <locale>
#include <sstream>

#include "cohort/data/internal/csv_reader.h"
#include "cohort/data/internal/files.h"
#include "cohort/data/internal/rows.h"
#include "cohort/data/text.h"

namespace cohort::data {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// Whether `text` is `word`, in any case.
bool is_word(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == b;
  });
}

/// A number out of T's range: false where it is too large, otherwise the nearest one.
template <class T>
bool parse_tiny(std::string_view text, T& value) {
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  stream >> value;
  return !stream.fail();
}

/// False where `text` is no number that T holds.
template <class T>
bool parse(std::string_view text, T& value) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  if constexpr (std::is_same_v<T, bool>) {
    value = text == "1" || is_word(text, "true");
    return value || text == "0" || is_word(text, "false");
  } else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    float wide = 0;
    const bool valid = parse(text, wide);
    value = T(wide);
    return valid && std::isinf(static_cast<float>(value)) == std::isinf(wide);
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size()) return false;
    if constexpr (std::is_floating_point_v<T>)
      if (error == std::errc::result_out_of_range) return parse_tiny(text, value);
    return error == std::errc();
  }
}

class CsvFlow : public ElementFlow {
 public:
  CsvFlow(const std::string& path, const CsvOptions& options)
      : reader_(path, options), options_(options) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      if (!next_record()) return static_cast<int64_t>(filled);
      read_record(out[filled]);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = 0;
    while (skipped < count && next_record()) ++skipped;
    return skipped;
  }

 private:
  bool next_record() {
    if (!passed_header_) {
      passed_header_ = true;
      if (options_.header && !reader_.next()) return false;
    }
    return reader_.next();
  }

  void read_record(Element& out) {
    const std::vector<int>& selected = options_.select_cols;
    const size_t width = options_.columns.size();
    const size_t needed = selected.empty() ? width : static_cast<size_t>(selected.back()) + 1;
    if (selected.empty() ? reader_.num_fields() != needed : reader_.num_fields() < needed)
      throw InvalidArgument("{}: got {} fields; want {}{}", reader_.where(), reader_.num_fields(),
                            needed, selected.empty() ? "" : " or more");
    out.resize(width);
    for (size_t c = 0; c < width; ++c)
      read_field(selected.empty() ? c : static_cast<size_t>(selected[c]), options_.columns[c],
                 out[c]);
  }

  void read_field(size_t number, const CsvColumn& column, Tensor& out) {
    std::string_view field = reader_.field(number);
    if (field == options_.na_value) field = {};
    if (column.is_text()) return text_tensor(field, out);
    prepare(out, column.dtype(), Shape());
    field = trimmed(field);
    if (field.empty() && column.default_value()) {
      std::memcpy(out.raw(), column.default_value()->raw(), size_of(column.dtype()));
      return;
    }
    visit_dtype(column.dtype(), [&](auto value) {
      if (!parse(field, value))
        throw InvalidArgument("{}: got \"{}\" in column {}; want {}", reader_.where(),
                              field.substr(0, 40), number, column.dtype());
      std::memcpy(out.raw(), &value, sizeof value);
    });
  }

  CsvReader reader_;
  const CsvOptions& options_;
  bool passed_header_ = false;
};

class Csv : public FileFormat {
 public:
  explicit Csv(const CsvOptions& options) : options_(options) {}
  /// The flow reads the options here; whoever holds it holds the format too.
  FlowPtr<Element> open(const std::string& path) const override {
    return std::make_unique<CsvFlow>(path, options_);
  }
  ElementSpec spec() const override {
    ElementSpec spec;
    for (const CsvColumn& column : options_.columns)
      spec.push_back(column.is_text() ? text_spec()[0] : ComponentSpec{column.dtype(), Shape()});
    return spec;
  }
  std::string name() const override { return "from_csv"; }
  std::string options() const override {
    std::string columns;
    for (size_t c = 0; c < options_.columns.size(); ++c) {
      const CsvColumn& column = options_.columns[c];
      columns += c == 0 ? "" : ", ";
      if (!options_.select_cols.empty()) columns += fmt::format("{}: ", options_.select_cols[c]);
      columns += column.is_text() ? "text" : fmt::format("{}", column.dtype());
      if (column.default_value()) columns += " = " + column.default_value()->to_string();
    }
    return fmt::format(
        ", [{}]{}{}{}{}{}", columns, describe(options_.compression),
        options_.header ? ", header" : "",
        options_.field_delim == ',' ? "" : fmt::format(", '{}'", options_.field_delim),
        options_.use_quote_delim ? "" : ", no quotes",
        options_.na_value.empty() ? "" : ", na " + options_.na_value);
  }

 private:
  CsvOptions options_;
};

void check(const CsvOptions& options) {
  if (options.columns.empty()) throw InvalidArgument("from_csv: got no columns; want at least one");
  const char delim = options.field_delim;
  if (delim == '"' || delim == '\n' || delim == '\r' || delim == '\0')
    throw InvalidArgument(
        "from_csv: got character {} as delimiter; want another than a quote, an "
        "end of line or 0",
        static_cast<int>(delim));
  const std::vector<int>& selected = options.select_cols;
  if (selected.empty()) return;
  if (selected.size() != options.columns.size())
    throw InvalidArgument("from_csv: got {} columns and {} numbers of columns; want as many",
                          options.columns.size(), selected.size());
  for (size_t i = 0; i < selected.size(); ++i)
    if (selected[i] < 0 || (i > 0 && selected[i] <= selected[i - 1]))
      throw InvalidArgument(
          "from_csv: got {} in the numbers of columns; want ascending ones from 0", selected[i]);
}

}  // namespace

CsvColumn::CsvColumn(Tensor default_value)
    : dtype_(default_value.dtype()), default_value_(std::move(default_value)) {
  if (!default_value_->defined() || default_value_->rank() != 0)
    throw InvalidArgument("CsvColumn: got a default of shape {}; want a scalar",
                          default_value_->shape());
}

CsvColumn CsvColumn::text() {
  CsvColumn column(DType::kU8);
  column.is_text_ = true;
  return column;
}

Dataset Dataset::from_csv(const std::vector<std::string>& files, const CsvOptions& options) {
  check_files(files, "from_csv");
  check(options);
  return Dataset(files_node(std::make_shared<Csv>(options), files));
}

}  // namespace cohort::data
