#include "cohort/data/tfrecord.h"

#include <array>

#include "cohort/core/wire/crc32c.h"
#include "cohort/data/dataset.h"
#include "cohort/data/internal/file_reader.h"
#include "cohort/data/internal/file_writer.h"
#include "cohort/data/internal/files.h"
#include "cohort/data/internal/rows.h"
#include "cohort/data/text.h"

namespace cohort::data {
namespace {

constexpr std::string_view kFromTfRecord = "from_tfrecord";
constexpr size_t kLengthBytes = 8, kCrcBytes = 4;
constexpr size_t kHeaderBytes = kLengthBytes + kCrcBytes;

uint64_t load(const char* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return value;
}

void store(uint64_t value, size_t count, char* bytes) {
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
}

uint32_t checksum(const void* bytes, size_t size) {
  return wire::mask_crc32c(wire::crc32c(bytes, size));
}

class TFRecordFlow : public ElementFlow {
 public:
  TFRecordFlow(const std::string& path, Compression compression)
      : file_(path, compression, kFromTfRecord) {}

  int64_t next(std::span<Element> out) override {
    for (size_t filled = 0; filled < out.size(); ++filled, ++number_)
      if (!next_record(out[filled])) return static_cast<int64_t>(filled);
    return std::ssize(out);
  }
  /// The bytes of records passed over are not read, so that their checksums are not looked at.
  int64_t skip(int64_t count) override {
    int64_t skipped = 0;
    while (skipped < count) {
      skipped += skip_ready(count - skipped);
      if (skipped == count || !next_length()) break;
      const uint64_t want = length_ + kCrcBytes, got = file_.skip(want);
      if (got < want) cut_off(got, want);
      ++skipped;
      ++number_;
    }
    return skipped;
  }

 private:
  /// Moves past up to `count` of the records that are at hand as a whole: most of those that are
  /// small. Returns how many; what is odd about one is left to next_length() to say.
  int64_t skip_ready(int64_t count) {
    const std::string_view bytes = file_.ready();
    int64_t skipped = 0;
    size_t at = 0;
    for (; skipped < count && bytes.size() - at >= kHeaderBytes; ++skipped) {
      const char* header = bytes.data() + at;
      const uint64_t length = load(header, kLengthBytes);
      const size_t behind = bytes.size() - at - kHeaderBytes;
      if (behind < kCrcBytes || length > behind - kCrcBytes ||
          load(header + kLengthBytes, kCrcBytes) != checksum(header, kLengthBytes))
        break;
      at += kHeaderBytes + length + kCrcBytes;
    }
    file_.consume(at);
    number_ += skipped;
    return skipped;
  }

  bool next_record(Element& out) {
    if (!next_length()) return false;
    out.resize(1);
    prepare_batch(out[0], DType::kU8, static_cast<int64_t>(length_), Shape{});
    std::array<char, kCrcBytes> stored;
    uint64_t got = file_.read(out[0].raw(), length_);
    if (got == length_) got += file_.read(stored.data(), stored.size());
    if (got < length_ + kCrcBytes) cut_off(got, length_ + kCrcBytes);
    check(load(stored.data(), kCrcBytes), checksum(out[0].raw(), length_), "its bytes");
    return true;
  }

  /// Reads a record's header into length_; false at the end of the file.
  bool next_length() {
    start_ = file_.offset();
    std::array<char, kHeaderBytes> header;
    const size_t got = file_.read(header.data(), header.size());
    if (got == 0) return false;
    if (got < header.size()) cut_off(got, header.size());
    check(load(header.data() + kLengthBytes, kCrcBytes), checksum(header.data(), kLengthBytes),
          "its length");
    length_ = load(header.data(), kLengthBytes);
    const uint64_t most = file_.most_left();
    if (most < kCrcBytes || length_ > most - kCrcBytes) cut_off(most, length_);
    return true;
  }

  void check(uint64_t stored, uint32_t computed, std::string_view what) const {
    if (stored != computed)
      throw DataLoss("{}: {}: record {} at byte {}: got {:#010x} as checksum of {}; want {:#010x}",
                     kFromTfRecord, file_.path(), number_, start_, stored, what, computed);
  }
  [[noreturn]] void cut_off(uint64_t got, uint64_t want) const {
    throw DataLoss("{}: {}: record {} at byte {}: got {} bytes before the end of the file; want {}",
                   kFromTfRecord, file_.path(), number_, start_, got, want);
  }

  FileReader file_;
  int64_t number_ = 0;
  uint64_t start_ = 0;  ///< where the record began, in unpacked bytes
  uint64_t length_ = 0;
};

class TFRecords : public FileFormat {
 public:
  explicit TFRecords(Compression compression) : compression_(compression) {}
  FlowPtr<Element> open(const std::string& path) const override {
    return std::make_unique<TFRecordFlow>(path, compression_);
  }
  ElementSpec spec() const override { return text_spec(); }
  std::string name() const override { return std::string(kFromTfRecord); }
  std::string options() const override { return describe(compression_); }

 private:
  Compression compression_;
};

}  // namespace

class TFRecordWriter::File : public FileWriter {
 public:
  using FileWriter::FileWriter;
};

TFRecordWriter::TFRecordWriter(const std::string& path, TFRecordOptions options)
    : file_(std::make_unique<File>(path, options.compression, "TFRecordWriter")) {}
TFRecordWriter::~TFRecordWriter() = default;
TFRecordWriter::TFRecordWriter(TFRecordWriter&&) noexcept = default;
TFRecordWriter& TFRecordWriter::operator=(TFRecordWriter&&) noexcept = default;

void TFRecordWriter::write(std::string_view record) {
  std::array<char, kHeaderBytes> header;
  store(record.size(), kLengthBytes, header.data());
  store(checksum(header.data(), kLengthBytes), kCrcBytes, header.data() + kLengthBytes);
  std::array<char, kCrcBytes> crc;
  store(checksum(record.data(), record.size()), kCrcBytes, crc.data());
  file_->write({header.data(), header.size()});
  file_->write(record);
  file_->write({crc.data(), crc.size()});
}

void TFRecordWriter::flush() { file_->flush(); }
void TFRecordWriter::close() { file_->close(); }

Dataset Dataset::from_tfrecord(const std::vector<std::string>& files, TFRecordOptions options) {
  check_files(files, kFromTfRecord);
  return Dataset(files_node(std::make_shared<TFRecords>(options.compression), files));
}

}  // namespace cohort::data
