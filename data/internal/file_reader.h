#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cohort/data/file_options.h"

namespace cohort::data {

/// A file read from start to end through one buffer of constant size, unpacked on the way.
///
/// Errors begin with `where` and name the file: NotFound when it cannot be opened, InvalidArgument
/// when it is no regular file, DataLoss when it cannot be read or its packed bytes are damaged or
/// cut off. Zero bytes behind packed ones are padding.
class FileReader {
 public:
  FileReader(std::string path, Compression compression, std::string_view where);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  /// Before the first byte is read: the file is text, so a byte order mark at its start is passed
  /// over. Throws InvalidArgument for UTF-16, and for a gzip file that is to be read as it is.
  void begin_text();

  /// The next bytes, as many as are at hand: none only at the end. Valid until the next call.
  std::string_view ready();
  /// Moves past `count` of the bytes that ready() gave.
  void consume(size_t count);

  /// Reads `size` bytes; returns how many there were before the end.
  size_t read(void* out, size_t size);
  /// Moves past `count` bytes; returns how many there were.
  uint64_t skip(uint64_t count);

  /// Bytes of content read so far, unpacked.
  uint64_t offset() const { return offset_; }
  /// No more bytes than these can follow. Exact where the file is not compressed.
  uint64_t most_left() const;
  const std::string& path() const { return path_; }

 private:
  struct Inflater;
  size_t read_file(char* out, size_t size);
  size_t read_some(char* out, size_t size);
  size_t inflate_some(char* out, size_t size);
  bool fill_input();
  bool begin_next_stream();
  [[noreturn]] void fail_packed(std::string_view got) const;

  std::string path_;
  std::string_view where_;
  int file_ = -1;
  uint64_t file_size_ = 0;
  uint64_t offset_ = 0;
  std::unique_ptr<char[]> buffer_;
  size_t begin_ = 0;  ///< of the unread part of the buffer
  size_t end_ = 0;
  std::unique_ptr<Inflater> inflater_;  ///< null: not compressed
};

}  // namespace cohort::data
