#include "cohort/checkpoint/replaced_file.h"

#include <unistd.h>

#include <utility>

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

ReplacedFile::~ReplacedFile() {
  if (!file_) return;
  file_.reset();
  ::unlink(partial_.c_str());
}

}  // namespace cohort::checkpoint
