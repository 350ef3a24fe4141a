#include <glob.h>

#include <algorithm>

#include "cohort/data/dataset.h"
#include "cohort/data/internal/files.h"
#include "cohort/data/internal/nodes.h"
#include "cohort/data/text.h"

namespace cohort::data {
namespace {

class PathFlow : public ElementFlow {
 public:
  explicit PathFlow(const std::string& path) : path_(path) {}
  int64_t next(std::span<Element> out) override {
    if (done_ || out.empty()) return 0;
    done_ = true;
    text_tensor(path_, out[0]);
    return 1;
  }

 private:
  std::string path_;
  bool done_ = false;
};

/// The name of the file is its one element.
class Paths : public FileFormat {
 public:
  FlowPtr<Element> open(const std::string& path) const override {
    return std::make_unique<PathFlow>(path);
  }
  ElementSpec spec() const override { return text_spec(); }
  int64_t elements_per_file() const override { return 1; }
  std::string name() const override { return "list_files"; }
};

void add_matches(const std::string& pattern, std::vector<std::string>& files) {
  glob_t found{};
  const int result = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  for (size_t i = 0; result == 0 && i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
  globfree(&found);
  if (result == GLOB_NOMATCH)
    throw NotFound("list_files: got no file that matches \"{}\"; want at least one", pattern);
  if (result != 0)
    throw NotFound(
        "list_files: \"{}\": got an error while reading directories; want ones that "
        "can be read",
        pattern);
}

}  // namespace

Dataset Dataset::list_files(const std::vector<std::string>& patterns, ListFilesOptions options) {
  check_files(patterns, "list_files");
  std::vector<std::string> files;
  for (const std::string& pattern : patterns) add_matches(pattern, files);
  std::sort(files.begin(), files.end());  // not glob's order, which depends on the locale
  files.erase(std::unique(files.begin(), files.end()), files.end());
  const int64_t count = std::ssize(files);
  NodePtr node = files_node(std::make_shared<Paths>(), std::move(files));
  if (options.shuffle) node = shuffle_node(std::move(node), count, {.seed = options.seed});
  return Dataset(std::move(node));
}

}  // namespace cohort::data
