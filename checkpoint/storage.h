#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// Where checkpoints are kept: the few operations of a file system that saving and restoring need.
/// Errors name the path and the system's reason: NotFound, AlreadyExists, ResourceExhausted (full,
/// over quota), PermissionDenied (also read-only), DataLoss (input/output), FailedPrecondition for
/// the rest.
namespace cohort::checkpoint {

/// A new file, written from its beginning to its end by one thread. Destroyed before close(), it
/// stays as it is.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  virtual void append(std::string_view bytes) = 0;
  /// Returns when what was appended survives a crash of the machine. The file's name does so only
  /// after Storage::sync_directory.
  virtual void sync() = 0;
  virtual void close() = 0;
};

/// A file that is read. Thread-safe.
class InputFile {
 public:
  virtual ~InputFile() = default;
  virtual uint64_t size() const = 0;
  /// Exactly these bytes; DataLoss where the file ends before them.
  virtual void read(uint64_t offset, void* to, size_t size) const = 0;
  /// All bytes; writes to them change no file. Valid as long as the result lives.
  virtual std::shared_ptr<char> map() const = 0;
};

/// A file system. Thread-safe.
class Storage {
 public:
  virtual ~Storage() = default;

  /// AlreadyExists where there is something of that name.
  virtual std::unique_ptr<OutputFile> create(const std::string& path) = 0;
  virtual std::unique_ptr<InputFile> open(const std::string& path) = 0;
  /// AlreadyExists where there is something of that name.
  virtual void make_directory(const std::string& path) = 0;
  /// Names in a directory, sorted.
  virtual std::vector<std::string> list(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  /// Atomic. A file takes another one's place.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  virtual void remove_file(const std::string& path) = 0;
  /// An empty one.
  virtual void remove_directory(const std::string& path) = 0;
  /// Returns when the names in the directory are as they are now after a crash of the machine, too.
  virtual void sync_directory(const std::string& path) = 0;
};

/// The files of this machine, network file systems included.
std::shared_ptr<Storage> posix_storage();

/// The whole file; DataLoss where it is larger than `max_bytes`.
std::string read_file(Storage& storage, const std::string& path, uint64_t max_bytes);
/// A new file that survives a crash once its directory is synced.
void write_file(Storage& storage, const std::string& path, std::string_view bytes);
/// "directory/name".
std::string join_path(std::string_view directory, std::string_view name);
/// What holds `path`: "." for a name alone.
std::string parent_path(std::string_view path);

}  // namespace cohort::checkpoint
