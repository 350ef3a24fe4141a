#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cohort/checkpoint/storage.h"

namespace cohort::checkpoint {

/// A new file of this machine, which takes the place of one at its path when close() returns, and
/// then survives a crash of the machine. Destroyed before, it leaves nothing.
class ReplacedFile {
 public:
  explicit ReplacedFile(std::string path);
  ~ReplacedFile();
  ReplacedFile(const ReplacedFile&) = delete;
  ReplacedFile& operator=(const ReplacedFile&) = delete;

  void append(std::string_view bytes) { file_->append(bytes); }
  void close();

  /// Where a file is until it takes its place.
  static std::string partial_path(const std::string& path);

 private:
  std::shared_ptr<Storage> storage_ = posix_storage();
  std::string path_, partial_;
  std::unique_ptr<OutputFile> file_;
};

/// A file that is whole at `from`, as partial_path() has it, takes the place of one at `path`, and
/// then survives a crash of the machine.
void replace_file(const std::string& from, const std::string& path);

}  // namespace cohort::checkpoint
