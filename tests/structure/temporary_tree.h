#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace cohort::structure {

/// An empty folder that is removed, with all in it, at the end.
class TemporaryTree {
 public:
  TemporaryTree() {
    std::string name = (std::filesystem::temp_directory_path() / "cohort_tree_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw std::filesystem::filesystem_error("mkdtemp", name,
                                              std::error_code(errno, std::generic_category()));
    root_ = name;
  }
  ~TemporaryTree() {
    std::error_code ignored;  // a folder left behind in /tmp is no failure of a test
    std::filesystem::remove_all(root_, ignored);
  }
  TemporaryTree(const TemporaryTree&) = delete;
  TemporaryTree& operator=(const TemporaryTree&) = delete;

  /// Writes `text` to `file`, given from the root; makes its folders.
  void write(const std::filesystem::path& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

}  // namespace cohort::structure
