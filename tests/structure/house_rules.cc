#include "tests/structure/house_rules.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

namespace cohort::structure {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxReadmeLines = 30;
constexpr int kMaxExampleLines = 150;
constexpr size_t kMaxMacros = 4;

std::vector<std::string> read_lines(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool is_hidden_or_built(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return name.starts_with(".") || name == "build";
}

class HouseChecker {
 public:
  explicit HouseChecker(fs::path root) : root_(std::move(root)) {}

  std::vector<std::string> run() {
    for (const auto& entry : fs::directory_iterator(root_))
      if (entry.is_directory() && !is_hidden_or_built(entry.path())) check_folder(entry.path());
    if (macros_.size() > kMaxMacros) {
      std::string names;
      for (const std::string& macro : macros_) names += " " + macro;
      report(root_, "at most " + std::to_string(kMaxMacros) + " macros, here are:" + names);
    }
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  void check_folder(const fs::path& folder) {
    bool has_sources = false;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".h" || extension == ".cuh" || extension == ".cc" || extension == ".cu") {
        has_sources = true;
        check_source(entry.path());
      }
    }
    if (!has_sources) return;
    const fs::path readme = folder / "README.md";
    if (!fs::exists(readme))
      report(folder, "has no README.md");
    else if (read_lines(readme).size() > kMaxReadmeLines)
      report(readme, "more than " + std::to_string(kMaxReadmeLines) + " lines");
  }

  void check_source(const fs::path& file) {
    const std::vector<std::string> lines = read_lines(file);
    const std::string relative = fs::relative(file, root_).generic_string();
    if (relative.starts_with("examples/") && lines.size() > kMaxExampleLines)
      report(file, "more than " + std::to_string(kMaxExampleLines) + " lines");
    const std::string extension = file.extension().string();
    if ((extension == ".h" || extension == ".cuh") &&
        std::find(lines.begin(), lines.end(), "#pragma once") == lines.end())
      report(file, "has no #pragma once");
    for (const std::string& line : lines)
      if (line.starts_with("#define ") && relative != "core/version.h")
        macros_.insert(line.substr(8, line.find_first_of(" (", 8) - 8));
    if (is_in_library(relative) && std::any_of(lines.begin(), lines.end(), prints))
      report(file, "prints past cohort::say(), which keeps the progress bar's line whole");
    if (relative.starts_with("kernels/cuda/") && relative != "kernels/cuda/wait.cc")
      check_waits(file, lines);
  }

  static bool is_in_library(const std::string& relative) {
    constexpr std::array kFolders = {"core/",       "data/",    "nn/",     "checkpoint/",
                                     "distribute/", "cluster/", "kernels/"};
    return std::any_of(kFolders.begin(), kFolders.end(),
                       [&](const char* folder) { return relative.starts_with(folder); });
  }

  static bool prints(const std::string& line) {
    constexpr std::array kWays = {"std::printf(", "std::fprintf(", "std::puts(", "std::cout",
                                  "std::cerr"};
    return std::any_of(kWays.begin(), kWays.end(),
                       [&](const char* way) { return line.find(way) != std::string::npos; });
  }

  // A wait that nobody monitors hangs behind a silent peer.
  void check_waits(const fs::path& file, const std::vector<std::string>& lines) {
    for (const char* call : {"cudaDeviceSynchronize(", "cudaEventSynchronize(",
                             "cudaStreamSynchronize(", "cudaMemcpy(", "cudaMemset("})
      for (const std::string& line : lines)
        if (line.find(call) != std::string::npos)
          report(file, std::string(call) + "): wait by kernels/cuda/wait.h");
  }

  void report(const fs::path& where, const std::string& what) {
    found_.push_back(fs::relative(where, root_).generic_string() + ": " + what);
  }

  fs::path root_;
  std::set<std::string> macros_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> broken_house_rules(const fs::path& root) {
  return HouseChecker(root).run();
}

}  // namespace cohort::structure
