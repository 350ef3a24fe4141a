#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// Zip archives of a few files, as Keras' models are. Throw FailedPrecondition where this build is
/// without libzip (COHORT_ZIP).
namespace cohort::data {

/// An archive that is read; it may come from anywhere. Errors name it: NotFound, DataLoss where it
/// is none, is damaged, by its checksums too, holds a name twice, or one that leads out of a folder
/// ("/etc/x", "../x").
class ArchiveReader {
 public:
  virtual ~ArchiveReader() = default;
  virtual std::vector<std::string> names() const = 0;
  bool contains(const std::string& name) const;
  /// What a file in it says it has, and never exceeds; NotFound.
  virtual uint64_t num_bytes(const std::string& name) const = 0;
  /// The whole of it. ResourceExhausted, before memory is taken, where it is more than max_bytes: a
  /// compressed file may hold a thousand times its size.
  virtual std::string read(const std::string& name, uint64_t max_bytes) const = 0;
  /// Into a new file at `path`, with memory for a small part of it; the same error.
  virtual void extract(const std::string& name, const std::string& path,
                       uint64_t max_bytes) const = 0;
};
std::unique_ptr<ArchiveReader> open_archive(const std::string& path);

/// What goes into a new archive: the text, or, where from_file is given, that file's bytes.
struct ArchiveEntry {
  std::string name;
  std::string text = "";
  std::string from_file = "";
};
/// Entries as they are, not compressed; equal ones give equal files. The archive stands whole at
/// `path` when this returns, or what was there before does.
void write_archive(const std::string& path, const std::vector<ArchiveEntry>& entries);

}  // namespace cohort::data
