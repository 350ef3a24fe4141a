#include "cohort/checkpoint/replaced_directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/error.h"
#include "cohort/core/system.h"

namespace cohort::checkpoint {
namespace {

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string beside(const std::string& path, const char* what) {
  return path + "." + what + "-" + std::to_string(::getpid());
}

/// False where the file system, or the system, cannot.
bool exchange_names(const std::string& a, const std::string& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
  throw system_error(a + ": taking the place of " + b, errno);
}

}  // namespace

ReplacedDirectory::ReplacedDirectory(const std::string& path, std::vector<std::string> names,
                                     bool overwrite)
    : path_(without_slashes(path)),
      partial_(beside(path_, "saving")),
      names_(std::move(names)),
      overwrite_(overwrite) {
  if (path_.empty()) throw InvalidArgument("export: got no path; want a directory's");
  check_replaceable();
  make_directories(*storage_, parent_path(path_));
  if (storage_->exists(partial_)) remove(partial_);
  storage_->make_directory(partial_);
}

ReplacedDirectory::~ReplacedDirectory() {
  if (closed_) return;
  try {
    remove(partial_);
  } catch (const Error&) {  // what cannot be removed stays
  }
}

void ReplacedDirectory::check_replaceable() const {
  if (!storage_->exists(path_)) return;
  if (!overwrite_)
    throw AlreadyExists("{}: got a directory that is there; want overwrite = true, or another path",
                        path_);
  for (const std::string& name : storage_->list(path_))
    if (std::find(names_.begin(), names_.end(), name) == names_.end())
      throw FailedPrecondition(
          "{}: got a directory with \"{}\" in it to replace; want one that was written by the same "
          "call, or another path",
          path_, name);
}

void ReplacedDirectory::remove(const std::string& directory) const {
  for (const std::string& name : storage_->list(directory))
    storage_->remove_file(join_path(directory, name));
  storage_->remove_directory(directory);
}

void ReplacedDirectory::close() {
  storage_->sync_directory(partial_);
  check_replaceable();
  if (!storage_->exists(path_)) {
    storage_->rename(partial_, path_);
    closed_ = true;
  } else if (exchange_names(partial_, path_)) {
    closed_ = true;
    storage_->sync_directory(parent_path(path_));
    remove(partial_);
  } else {
    const std::string removing = beside(path_, "removing");
    storage_->rename(path_, removing);
    storage_->rename(partial_, path_);
    closed_ = true;
    storage_->sync_directory(parent_path(path_));
    remove(removing);
  }
  storage_->sync_directory(parent_path(path_));
}

}  // namespace cohort::checkpoint
