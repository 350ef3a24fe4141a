#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace cohort::structure {

/// One line for each of these rules that the tree at `root` breaks:
///  * every top folder with sources has a README.md of at most 30 lines;
///  * an example is a complete program of at most 150 lines;
///  * the library and its tests define at most four macros in all, those of core/version.h aside;
///  * every header begins with #pragma once;
///  * the library prints with say() (core/terminal.h) alone;
///  * the CUDA module waits for a device in one file, kernels/cuda/wait.cc.
/// Throws std::filesystem::filesystem_error if `root` cannot be read.
std::vector<std::string> broken_house_rules(const std::filesystem::path& root);

}  // namespace cohort::structure
