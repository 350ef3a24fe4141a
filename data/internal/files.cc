#include "cohort/data/internal/files.h"

#include "cohort/data/internal/nodes.h"

namespace cohort::data {
namespace {

using FileList = std::shared_ptr<const std::vector<std::string>>;

class FilesFlow : public ElementFlow {
 public:
  FilesFlow(std::shared_ptr<const FileFormat> format, FileList files)
      : format_(std::move(format)), files_(std::move(files)) {}

  int64_t next(std::span<Element> out) override {
    int64_t done = 0;
    while (done < std::ssize(out) && open_file()) {
      const auto rest = out.subspan(static_cast<size_t>(done));
      const int64_t got = file_->next(rest);
      if (got < std::ssize(rest)) file_.reset();
      done += got;
    }
    return done;
  }
  int64_t skip(int64_t count) override {
    int64_t done = 0;
    while (done < count && open_file()) {
      const int64_t got = file_->skip(count - done);
      if (got < count - done) file_.reset();
      done += got;
    }
    return done;
  }

 private:
  bool open_file() {
    if (file_) return true;
    if (number_ == files_->size()) return false;
    file_ = format_->open((*files_)[number_++]);
    return true;
  }

  std::shared_ptr<const FileFormat> format_;
  FileList files_;
  size_t number_ = 0;
  FlowPtr<Element> file_;
};

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

class FilesNode : public Node {
 public:
  FilesNode(std::shared_ptr<const FileFormat> format, std::vector<std::string> files)
      : format_(std::move(format)),
        files_(std::make_shared<const std::vector<std::string>>(std::move(files))) {}

  FlowPtr<Element> elements(const Pass&) const override {
    return std::make_unique<FilesFlow>(format_, files_);
  }
  int64_t cardinality() const override {
    const int64_t per_file = format_->elements_per_file();
    if (files_->empty()) return 0;
    return per_file < 0 ? per_file : per_file * std::ssize(*files_);
  }
  ElementSpec spec() const override { return format_->spec(); }
  /// The first file, how many more there are, and a hash of their names, without directories: the
  /// data are the same where they have been moved.
  std::string describe() const override {
    std::string text = format_->name() + "(";
    if (!files_->empty()) text += base_name(files_->front());
    if (files_->size() > 1) {
      std::string names;
      for (const std::string& file : *files_) (names += base_name(file)) += '\n';
      text += fmt::format(" and {} more, #{:016x}", files_->size() - 1, hash_of(names));
    }
    return text + format_->options() + ")";
  }
  const std::vector<std::string>* files() const override { return files_.get(); }
  NodePtr with_files(std::vector<std::string> files) const override {
    return std::make_shared<FilesNode>(format_, std::move(files));
  }

 private:
  std::shared_ptr<const FileFormat> format_;
  FileList files_;
};

}  // namespace

NodePtr files_node(std::shared_ptr<const FileFormat> format, std::vector<std::string> files) {
  return std::make_shared<FilesNode>(std::move(format), std::move(files));
}

std::string describe(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "";
    case Compression::kGzip:
      return ", gzip";
    case Compression::kZlib:
      return ", zlib";
  }
  throw InvalidArgument("compression: got number {}; want kNone, kGzip or kZlib",
                        static_cast<int>(compression));
}

void check_files(const std::vector<std::string>& files, std::string_view where) {
  if (files.empty()) throw InvalidArgument("{}: got no files; want at least one", where);
  for (size_t i = 0; i < files.size(); ++i)
    if (files[i].empty())
      throw InvalidArgument("{}: got an empty name as file {}; want a path", where, i);
}

}  // namespace cohort::data
