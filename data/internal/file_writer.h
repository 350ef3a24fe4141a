#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cohort/data/file_options.h"

namespace cohort::data {

/// A file written from its start, packed on the way. Errors begin with `where` and name the file:
/// NotFound when it cannot be opened, ResourceExhausted when it cannot be written.
class FileWriter {
 public:
  FileWriter(std::string path, Compression compression, std::string_view where);
  ~FileWriter();  ///< closes quietly
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::string_view bytes);
  void flush();
  void close();

 private:
  struct Deflater;
  void deflate(int flush);
  void write_file(const char* bytes, size_t size);

  std::string path_;
  std::string_view where_;
  int file_ = -1;
  std::string pending_;                 ///< not yet packed or written
  std::unique_ptr<Deflater> deflater_;  ///< null: not compressed
};

}  // namespace cohort::data
