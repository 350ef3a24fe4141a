#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "cohort/checkpoint/storage.h"
#include "cohort/core/error.h"

namespace cohort::checkpoint {
namespace {

Code code_of_system_error(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kAlreadyExists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Code::kResourceExhausted;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case EIO:
      return Code::kDataLoss;
    default:
      return Code::kFailedPrecondition;
  }
}

[[noreturn]] void fail(const std::string& path, std::string_view doing) {
  const int error = errno;
  throw Error(code_of_system_error(error),
              fmt::format("{}: got \"{}\" while {}", path, std::strerror(error), doing));
}

/// Calls until no signal interrupts.
template <class Call>
auto uninterrupted(Call&& call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

/// An open file that ends with the object.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, std::string_view doing)
      : number_(uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0666); })) {
    if (number_ < 0) fail(path, doing);
  }
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int number() const { return number_; }
  bool close() { return ::close(std::exchange(number_, -1)) == 0 || errno == EINTR; }

 private:
  int number_;
};

class PosixOutputFile final : public OutputFile {
 public:
  explicit PosixOutputFile(const std::string& path)
      : path_(path), file_(path, O_WRONLY | O_CREAT | O_EXCL, "creating the file") {}

  void append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t done =
          uninterrupted([&] { return ::write(file_.number(), bytes.data(), bytes.size()); });
      if (done < 0) fail(path_, "writing");
      bytes.remove_prefix(static_cast<size_t>(done));
    }
  }
  void sync() override {
    if (uninterrupted([&] { return ::fsync(file_.number()); }) != 0)
      fail(path_, "writing to the disk");
  }
  void close() override {
    if (!file_.close()) fail(path_, "closing the file");
  }

 private:
  std::string path_;
  Descriptor file_;
};

class PosixInputFile final : public InputFile {
 public:
  explicit PosixInputFile(const std::string& path)
      : path_(path), file_(path, O_RDONLY | O_NONBLOCK, "opening the file") {
    struct stat status {};
    if (::fstat(file_.number(), &status) != 0) fail(path_, "asking for the file's size");
    if (!S_ISREG(status.st_mode))
      throw FailedPrecondition("{}: got something that is no regular file; want one", path_);
    size_ = static_cast<uint64_t>(status.st_size);
  }

  uint64_t size() const override { return size_; }

  void read(uint64_t offset, void* to, size_t size) const override {
    char* at = static_cast<char*>(to);
    for (size_t left = size; left > 0;) {
      const ssize_t done = uninterrupted(
          [&] { return ::pread(file_.number(), at, left, static_cast<off_t>(offset)); });
      if (done < 0) fail(path_, "reading");
      if (done == 0)
        throw DataLoss("{}: got the file's end at byte {}; want {} bytes more", path_, offset,
                       left);
      at += done;
      offset += static_cast<uint64_t>(done);
      left -= static_cast<size_t>(done);
    }
  }

  std::shared_ptr<char> map() const override {
    if (size_ == 0) return std::make_shared<char>();
    // Pages that the file no longer has would end the process.
    struct stat status {};
    if (::fstat(file_.number(), &status) != 0) fail(path_, "asking for the file's size");
    if (static_cast<uint64_t>(status.st_size) != size_)
      throw DataLoss("{}: got {} bytes; want {}, as when it was opened", path_, status.st_size,
                     size_);
    void* data = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_.number(), 0);
    if (data == MAP_FAILED) fail(path_, "mapping the file");
    return {static_cast<char*>(data), [size = size_](char* mapped) { ::munmap(mapped, size); }};
  }

 private:
  std::string path_;
  Descriptor file_;
  uint64_t size_ = 0;
};

class PosixStorage final : public Storage {
 public:
  std::unique_ptr<OutputFile> create(const std::string& path) override {
    return std::make_unique<PosixOutputFile>(path);
  }
  std::unique_ptr<InputFile> open(const std::string& path) override {
    return std::make_unique<PosixInputFile>(path);
  }
  void make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0777) != 0) fail(path, "making the directory");
  }
  std::vector<std::string> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (!directory) fail(path, "listing the directory");
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (!entry && errno != 0) fail(path, "listing the directory");
      if (!entry) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  bool exists(const std::string& path) override {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) fail(path, "looking for the file");
    return false;
  }
  void rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) fail(from, "renaming it to " + to);
  }
  void remove_file(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) fail(path, "removing the file");
  }
  void remove_directory(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) fail(path, "removing the directory");
  }
  void sync_directory(const std::string& path) override {
    const Descriptor directory(path, O_RDONLY | O_DIRECTORY, "opening the directory");
    if (uninterrupted([&] { return ::fsync(directory.number()); }) != 0)
      fail(path, "writing the directory to the disk");
  }
};

}  // namespace

std::shared_ptr<Storage> posix_storage() { return std::make_shared<PosixStorage>(); }

}  // namespace cohort::checkpoint
