#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cohort::structure {

/// Reads every source file of the tree at `root` and returns one line "file:line: what is wrong"
/// for each #include that the house rules of docs/architecture.md forbid:
///  * a folder includes only the folders that the table allows it;
///  * an include of ours is written from the root of the repository and names a file that is there;
///  * a vendor's header stays inside its fence, and headers stay cheap to compile.
/// Throws std::filesystem::filesystem_error if `root` cannot be read.
std::vector<std::string> forbidden_includes(const std::filesystem::path& root);

}  // namespace cohort::structure
