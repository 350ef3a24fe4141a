#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cohort/data/file_options.h"

/// TensorFlow's record files. All numbers are little-endian:
///   file   = record*
///   record = length crc(length) byte{length} crc(bytes)       length: u64
///   crc    = u32, the masked CRC-32C (core/wire/crc32c.h) of the bytes before it
/// A compressed file is one gzip or zlib stream of that. Dataset::from_tfrecord reads them.
namespace cohort::data {

/// Writes a file of records, from its start; what it held before is gone. One thread at a time.
///
/// Errors name the file: NotFound when it cannot be opened, ResourceExhausted when it cannot be
/// written.
class TFRecordWriter {
 public:
  explicit TFRecordWriter(const std::string& path, TFRecordOptions options = {});
  /// Closes the file if close() was not called; an error is then lost.
  ~TFRecordWriter();
  TFRecordWriter(TFRecordWriter&&) noexcept;
  TFRecordWriter& operator=(TFRecordWriter&&) noexcept;

  void write(std::string_view record);
  /// Hands what was written to the operating system. In a compressed file readers see it after
  /// close() only.
  void flush();
  /// Ends the file. Further writes throw FailedPrecondition.
  void close();

 private:
  class File;
  std::unique_ptr<File> file_;
};

}  // namespace cohort::data
