#include "tests/structure/include_rules.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string_view>

namespace cohort::structure {
namespace {

namespace fs = std::filesystem;
using Prefixes = std::vector<std::string_view>;

// What each top folder may include of ours, itself apart. An entry names a folder ("core/") or the
// beginning of a file's path ("distribute/strategy.h").
const std::map<std::string_view, Prefixes>& folder_table() {
  static const std::map<std::string_view, Prefixes> table = {
      {"core", {}},
      {"kernels", {"core/"}},
      {"data", {"core/"}},
      {"checkpoint", {"core/"}},
      {"cluster", {"core/"}},
      {"distribute", {"core/", "data/", "cluster/", "checkpoint/"}},
      {"nn", {"core/", "data/", "checkpoint/", "distribute/strategy.h"}},
      {"launch", {"core/", "cluster/"}},
      {"cohort", {""}},
      {"examples", {"cohort/", "core/", "data/", "checkpoint/", "cluster/", "distribute/", "nn/"}},
      {"benchmarks", {""}},
      {"tests", {""}},
  };
  return table;
}

// Core's layers point one way: what each may include of core, besides itself and the files that lie
// in core/ itself. Those, the lowest layer ("core/"), include none of the others.
const std::map<std::string_view, Prefixes>& core_layers() {
  static const std::map<std::string_view, Prefixes> table = {
      {"core/", {}},
      {"core/device/", {}},
      {"core/trace/", {}},
      {"core/wire/", {}},
      {"core/graph/", {"core/device/", "core/wire/"}},
      {"core/ops/", {"core/graph/"}},
      {"core/runtime/", {"core/device/", "core/graph/", "core/ops/", "core/trace/", "core/wire/"}},
  };
  return table;
}

// What a folder may not include although the table allows it: a model says what is to be known of
// all replicas, and a strategy how.
const std::map<std::string_view, Prefixes>& closed_to() {
  static const std::map<std::string_view, Prefixes> table = {
      {"nn",
       {"core/ops/collective.h", "core/runtime/communicator.h", "core/runtime/collective_plan.h"}},
  };
  return table;
}

// "core/graph/" of "core/graph/op.cc", "core/" of "core/error.h".
std::string_view layer_of(std::string_view path) {
  const size_t second = path.find('/', path.find('/') + 1);
  return path.substr(0, second == path.npos ? path.find('/') + 1 : second + 1);
}

bool points_up(std::string_view file, std::string_view included) {
  const std::string_view from = layer_of(file), to = layer_of(included);
  const auto layer = core_layers().find(from);
  if (layer == core_layers().end() || from == to || to == "core/") return false;
  return std::find(layer->second.begin(), layer->second.end(), to) == layer->second.end();
}

// Whose headers are reached as "cohort/<folder>/...": a program's own data/ must not hide ours.
const std::set<std::string_view>& library_folders() {
  static const std::set<std::string_view> folders = {"core",    "kernels",    "data", "checkpoint",
                                                     "cluster", "distribute", "nn"};
  return folders;
}

// A vendor's headers and the folders that may include them.
struct Fence {
  std::string_view library;
  Prefixes headers;
  Prefixes folders;
  bool one_file = false;       // at most one file in those folders
  bool sources_only = false;   // not in a .h there, but in tests/, where few include it
  std::string_view gate = {};  // the one .h that may all the same
};

const std::vector<Fence>& fences() {
  static const std::vector<Fence> list = {
      {.library = "oneDNN",
       .headers = {"oneapi/dnnl/", "dnnl"},
       .folders = {"kernels/cpu/onednn/"}},
      {.library = "CUDA",
       .headers = {"cuda", "cublas", "cudnn", "cub/", "thrust/", "cooperative_groups", "nvtx3/",
                   "curand", "device_launch_parameters.h", "nvrtc"},
       .folders = {"kernels/cuda/", "tests/cuda_host/"}},
      {.library = "NCCL",
       .headers = {"nccl"},
       .folders = {"kernels/cuda/nccl/", "tests/cuda_host/"}},
      {.library = "MPI", .headers = {"mpi.h"}, .folders = {"distribute/"}, .one_file = true},
      {.library = "OpenSSL",
       .headers = {"openssl/"},
       .folders = {"distribute/transport/tls/", "cluster/grpc/"},
       .sources_only = true},
      {.library = "gRPC", .headers = {"grpc"}, .folders = {"cluster/grpc/"}, .sources_only = true},
      {.library = "cpp-httplib",
       .headers = {"httplib"},
       .folders = {"cluster/http/"},
       .one_file = true,
       .sources_only = true},
      {.library = "Protobuf",
       .headers = {"google/protobuf/", "generated/"},
       .folders = {"cluster/grpc/"},
       .sources_only = true},
      {.library = "HDF5", .headers = {"hdf5"}, .folders = {"checkpoint/"}, .one_file = true},
      {.library = "zlib",
       .headers = {"zlib.h"},
       .folders = {"core/", "data/", "checkpoint/", "tests/"},
       .sources_only = true},
      {.library = "JSON",
       .headers = {"nlohmann/"},
       .folders = {"core/", "data/", "checkpoint/", "cluster/", "distribute/", "nn/", "launch/",
                   "tests/", "benchmarks/"},
       .sources_only = true},
      {.library = "spdlog", .headers = {"spdlog/"}, .folders = {""}, .sources_only = true},
      {.library = "CLI11",
       .headers = {"CLI/"},
       .folders = {"examples/", "launch/", "benchmarks/"},
       .sources_only = true},
      {.library = "GoogleTest", .headers = {"gtest/", "gmock/"}, .folders = {"tests/"}},
      {.library = "Google Benchmark", .headers = {"benchmark/"}, .folders = {"benchmarks/"}},
      {.library = "slow standard header",
       .headers = {"regex", "iostream", "chrono"},
       .folders = {""},
       .sources_only = true,
       .gate = "core/chrono.h"},
  };
  return list;
}

struct Include {
  std::string path;
  bool quoted;
};

// The target of an #include line, nothing for any other line.
std::optional<Include> parse_include(std::string_view line) {
  auto skip_blanks = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  auto skip = [&](std::string_view word) {
    if (!line.starts_with(word)) return false;
    line.remove_prefix(word.size());
    return true;
  };
  skip_blanks();
  if (!skip("#")) return {};
  skip_blanks();
  if (!skip("include")) return {};
  skip_blanks();
  if (line.empty() || (line[0] != '"' && line[0] != '<')) return {};
  const bool quoted = line[0] == '"';
  line.remove_prefix(1);
  return Include{std::string(line.substr(0, line.find(quoted ? '"' : '>'))), quoted};
}

bool starts_with_any(std::string_view path, const Prefixes& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return path.starts_with(prefix); });
}

bool is_closed(std::string_view folder, std::string_view path) {
  const auto it = closed_to().find(folder);
  return it != closed_to().end() && starts_with_any(path, it->second);
}

bool is_source(const fs::path& path) {
  static const std::set<std::string> extensions = {".h", ".cc", ".cu", ".cuh"};
  return extensions.contains(path.extension().string());
}

bool is_header(std::string_view file) { return file.ends_with(".h") || file.ends_with(".cuh"); }

class IncludeChecker {
 public:
  explicit IncludeChecker(fs::path root) : root_(std::move(root)) {}

  std::vector<std::string> run() {
    for (const auto& [folder, allowed] : folder_table()) {
      if (!fs::exists(root_ / folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(root_ / folder))
        if (entry.is_regular_file() && is_source(entry.path())) check_file(entry.path());
    }
    for (const Fence& fence : fences())
      if (const auto& users = users_[fence.library]; fence.one_file && users.size() > 1)
        for (const std::string& file : users)
          report(file, 0,
                 std::string(fence.library) + " belongs in one file, here are " +
                     std::to_string(users.size()));
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  void check_file(const fs::path& path) {
    const std::string file = fs::relative(path, root_).generic_string();
    if (file.starts_with("tests/package/")) return;  // a project of its own, outside this tree
    std::ifstream in(path);
    std::string text;
    for (int line = 1; std::getline(in, text); ++line) {
      const std::optional<Include> include = parse_include(text);
      if (!include) continue;
      if (include->quoted)
        check_ours(file, line, include->path);
      else
        check_foreign(file, line, include->path);
    }
  }

  void check_ours(const std::string& file, int line, const std::string& target) {
    const std::string_view from = std::string_view(file).substr(0, file.find('/'));
    const std::string path = path_of(target);
    const std::string to = path.substr(0, path.find('/'));
    if (!folder_table().contains(to) || !fs::exists(root_ / path)) {
      report(file, line, "\"" + target + "\": no such file below the root of the repository");
    } else if (path == target && library_folders().contains(to)) {
      report(file, line, "\"" + target + "\": write \"cohort/" + target + "\"");
    } else if (from != to &&
               (!starts_with_any(path, folder_table().at(from)) || is_closed(from, path))) {
      report(file, line, std::string(from) + "/ may not include \"" + target + "\"");
    } else if (points_up(file, path)) {
      report(file, line, std::string(layer_of(file)) + " may not include \"" + target + "\"");
    }
  }

  // The file that "cohort/core/error.h" means, below the root of the repository.
  std::string path_of(const std::string& target) const {
    if (!target.starts_with("cohort/") || target == "cohort/cohort.h") return target;
    return target.substr(std::string_view("cohort/").size());
  }

  void check_foreign(const std::string& file, int line, const std::string& target) {
    if (const std::string path = path_of(target);
        folder_table().contains(path.substr(0, path.find('/'))) && fs::exists(root_ / path)) {
      report(file, line, "<" + target + ">: write ours in quotes");
      return;
    }
    for (const Fence& fence : fences()) {
      if (!starts_with_any(target, fence.headers)) continue;
      users_[fence.library].insert(file);
      if (!starts_with_any(file, fence.folders))
        report(file, line, "<" + target + ">: " + std::string(fence.library) + " is fenced");
      else if (fence.sources_only && is_header(file) && file != fence.gate &&
               !file.starts_with("tests/"))
        report(file, line, "<" + target + ">: not in a header");
    }
  }

  void report(const std::string& file, int line, const std::string& what) {
    found_.push_back(file + ":" + std::to_string(line) + ": " + what);
  }

  fs::path root_;
  std::vector<std::string> found_;
  std::map<std::string_view, std::set<std::string>> users_;
};

}  // namespace

std::vector<std::string> forbidden_includes(const fs::path& root) {
  return IncludeChecker(root).run();
}

}  // namespace cohort::structure
