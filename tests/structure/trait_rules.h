#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cohort::structure {

/// Where the compiler and the executor (core/runtime) tell ops apart by their names, which their
/// traits are for (core/graph/op.h): "file:line: what stands there". The names of nodes, which
/// users' scopes change, count as well. The table of fusions (core/runtime/fusions.cc) names ops
/// and compares none. Throws std::filesystem::filesystem_error if `root` cannot be read.
std::vector<std::string> comparisons_of_names(const std::filesystem::path& root);

}  // namespace cohort::structure
