#include "cohort/checkpoint/replaced_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "cohort/core/system.h"

namespace cohort::checkpoint {

std::string ReplacedFile::partial_path(const std::string& path) {
  return path + ".saving-" + std::to_string(::getpid());
}

ReplacedFile::ReplacedFile(std::string path)
    : path_(std::move(path)), partial_(partial_path(path_)) {
  if (storage_->exists(partial_)) storage_->remove_file(partial_);
  file_ = storage_->create(partial_);
}

void ReplacedFile::close() {
  file_->sync();
  file_->close();
  storage_->rename(partial_, path_);
  file_.reset();
  storage_->sync_directory(parent_path(path_));
}

void replace_file(const std::string& from, const std::string& path) {
  const int file = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = file >= 0 && ::fsync(file) == 0;
  const int error = errno;
  if (file >= 0) ::close(file);
  if (!synced) throw system_error(from, error);
  const std::shared_ptr<Storage> storage = posix_storage();
  storage->rename(from, path);
  storage->sync_directory(parent_path(path));
}

ReplacedFile::~ReplacedFile() {
  if (!file_) return;
  file_.reset();
  ::unlink(partial_.c_str());
}

}  // namespace cohort::checkpoint
