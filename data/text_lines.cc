#include <algorithm>
#include <cstring>
#include <utility>

#include "cohort/data/dataset.h"
#include "cohort/data/internal/file_reader.h"
#include "cohort/data/internal/files.h"
#include "cohort/data/text.h"

namespace cohort::data {
namespace {

constexpr std::string_view kFromTextLines = "from_text_lines";
constexpr size_t kMostLineBytes = size_t{64} << 20;

class LineFlow : public ElementFlow {
 public:
  LineFlow(const std::string& path, Compression compression)
      : file_(path, compression, kFromTextLines) {
    file_.begin_text();
  }

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled) {
      if (!next_line()) return static_cast<int64_t>(filled);
      text_tensor(line_, out[filled]);
    }
    return std::ssize(out);
  }
  int64_t skip(int64_t count) override {
    int64_t skipped = 0;
    while (skipped < count && next_line()) ++skipped;
    return skipped;
  }

 private:
  /// Reads a line without its end, "\n", "\r\n" or "\r". The last one may have none.
  bool next_line() {
    line_.clear();
    ++number_;
    bool any = false;
    for (std::string_view bytes = file_.ready(); !bytes.empty(); bytes = file_.ready()) {
      if (std::exchange(after_return_, false) && bytes.front() == '\n') {
        file_.consume(1);
        continue;
      }
      any = true;
      const std::string_view part = bytes.substr(0, before_return(bytes));
      const size_t end = std::min(part.find('\n'), part.size());
      line_.append(bytes.substr(0, end));
      if (line_.size() > kMostLineBytes)
        throw ResourceExhausted("{}: {}: line {}: got more than {} bytes; want a file of lines",
                                kFromTextLines, file_.path(), number_, kMostLineBytes);
      after_return_ = end < bytes.size() && bytes[end] == '\r';
      file_.consume(std::min(end + 1, bytes.size()));
      if (end < bytes.size()) return true;
    }
    return any;
  }

  /// How many of the next bytes stand before a "\r"; all, where there is none. Looks at every byte
  /// once, however often it is asked.
  size_t before_return(std::string_view bytes) {
    const uint64_t start = file_.offset(), stop = start + bytes.size();
    if (searched_to_ != stop || return_at_ < start) {
      searched_to_ = stop;
      return_at_ = start + std::min(bytes.find('\r'), bytes.size());
    }
    return return_at_ - start;
  }

  FileReader file_;
  std::string line_;
  int64_t number_ = 0;
  bool after_return_ = false;  ///< the last line ended with "\r": a "\n" belongs to it
  uint64_t return_at_ = 0;     ///< offset of the next "\r", or searched_to_
  uint64_t searched_to_ = 0;
};

class TextLines : public FileFormat {
 public:
  explicit TextLines(Compression compression) : compression_(compression) {}
  FlowPtr<Element> open(const std::string& path) const override {
    return std::make_unique<LineFlow>(path, compression_);
  }
  ElementSpec spec() const override { return text_spec(); }
  std::string name() const override { return std::string(kFromTextLines); }
  std::string options() const override { return describe(compression_); }

 private:
  Compression compression_;
};

}  // namespace

Dataset Dataset::from_text_lines(const std::vector<std::string>& files, TextLineOptions options) {
  check_files(files, kFromTextLines);
  return Dataset(files_node(std::make_shared<TextLines>(options.compression), files));
}

}  // namespace cohort::data
