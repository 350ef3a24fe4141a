#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cohort/checkpoint/storage.h"

namespace cohort::checkpoint {

/// A new directory of files of this machine, which takes the place of one at its path when close()
/// returns, and then survives a crash of the machine. Destroyed before, it leaves nothing. A crash
/// leaves one of the two there, but for file systems that cannot exchange two names: there also
/// none, and the older one beside it, as "<path>.removing-<process>".
class ReplacedDirectory {
 public:
  /// AlreadyExists where there is something at the path, unless `overwrite`; FailedPrecondition
  /// where that is no directory, or has other files than those called `names`.
  ReplacedDirectory(const std::string& path, std::vector<std::string> names, bool overwrite);
  ~ReplacedDirectory();
  ReplacedDirectory(const ReplacedDirectory&) = delete;
  ReplacedDirectory& operator=(const ReplacedDirectory&) = delete;

  Storage& storage() const { return *storage_; }
  /// Where it is until then.
  const std::string& path() const { return partial_; }
  void close();

 private:
  void check_replaceable() const;
  void remove(const std::string& directory) const;

  std::shared_ptr<Storage> storage_ = posix_storage();
  std::string path_, partial_;
  std::vector<std::string> names_;
  bool overwrite_;
  bool closed_ = false;
};

}  // namespace cohort::checkpoint
