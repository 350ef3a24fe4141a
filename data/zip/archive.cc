#include "cohort/data/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include "cohort/core/system.h"
#include "cohort/data/internal/file_reader.h"
#include "cohort/data/zip/zip_archive.h"

namespace cohort::data {
namespace {

constexpr size_t kPiece = size_t{1} << 20;
constexpr zip_int64_t kMaxFiles = 65536;

bool leads_out(const std::string& name) {
  if (name.empty() || name[0] == '/' || name.find('\\') != name.npos) return true;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    if (name.compare(at, end - at, "..") == 0) return true;
    at = end + 1;
  }
  return false;
}

class ZipReader final : public ArchiveReader {
 public:
  explicit ZipReader(const std::string& path) : where_(path) {
    FileReader(path, Compression::kNone, "zip archive");  // says why where that fails
    archive_ = internal::open_zip(path, ZIP_RDONLY | ZIP_CHECKCONS, where_);
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    if (count > kMaxFiles)
      throw ResourceExhausted("{}: got {} files; want at most {}", where_, count, kMaxFiles);
    std::set<std::string> met;
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* named = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      names_.emplace_back(named ? named : "");
      if (leads_out(names_.back()))
        throw DataLoss("{}: got a file called \"{}\"; want names within a folder", where_,
                       names_.back());
      if (!met.insert(names_.back()).second)
        throw DataLoss("{}: got {} twice; want it once", where_, names_.back());
    }
  }

  std::vector<std::string> names() const override { return names_; }
  uint64_t num_bytes(const std::string& name) const override { return member(name).size(); }

  std::string read(const std::string& name, uint64_t max_bytes) const override {
    internal::Member file = member(name, max_bytes);
    std::string bytes(file.size(), '\0');
    file.read(bytes.data(), bytes.size());
    file.check_sum();
    return bytes;
  }

  void extract(const std::string& name, const std::string& path,
               uint64_t max_bytes) const override {
    internal::Member file = member(name, max_bytes);
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(path.c_str(), "wbx"),
                                                        std::fclose);
    std::string piece(std::min<uint64_t>(kPiece, file.size()), '\0');
    bool written = out != nullptr;
    for (uint64_t left = file.size(); written && left > 0;) {
      const size_t now = std::min<uint64_t>(piece.size(), left);
      file.read(piece.data(), now);
      written = std::fwrite(piece.data(), 1, now, out.get()) == now;
      left -= now;
    }
    if (written) file.check_sum();
    if (!written || std::fflush(out.get()) != 0)
      throw system_error(fmt::format("{}: {}: as {}", where_, name, path), errno);
  }

 private:
  internal::Member member(const std::string& name, uint64_t max_bytes = UINT64_MAX) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end())
      throw NotFound("{}: got no {}; want one of {}", where_, name, fmt::join(names_, ", "));
    internal::Member file(archive_.get(), static_cast<zip_uint64_t>(found - names_.begin()),
                          fmt::format("{}: {}", where_, name));
    if (file.size() > max_bytes)
      throw ResourceExhausted("{}: {}: got {} bytes; want at most {}", where_, name, file.size(),
                              max_bytes);
    return file;
  }

  std::string where_;
  internal::Archive archive_;
  std::vector<std::string> names_;
};

void add(zip_t* archive, const ArchiveEntry& entry, const std::string& where) {
  zip_source_t* source = entry.from_file.empty()
                             ? zip_source_buffer(archive, entry.text.data(), entry.text.size(), 0)
                             : zip_source_file(archive, entry.from_file.c_str(), 0, -1);
  const zip_int64_t index =
      source ? zip_file_add(archive, entry.name.c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
  if (index < 0) {
    zip_source_free(source);
    throw InvalidArgument("{}: {}: {}", where, entry.name, zip_strerror(archive));
  }
  const auto at = static_cast<zip_uint64_t>(index);
  zip_set_file_compression(archive, at, ZIP_CM_STORE, 0);
  zip_file_set_dostime(archive, at, 0, (1 << 5) | 1, 0);  // 1980-01-01
}

}  // namespace

bool ArchiveReader::contains(const std::string& name) const {
  const std::vector<std::string> all = names();
  return std::find(all.begin(), all.end(), name) != all.end();
}

std::unique_ptr<ArchiveReader> open_archive(const std::string& path) {
  return std::make_unique<ZipReader>(path);
}

void write_archive(const std::string& path, const std::vector<ArchiveEntry>& entries) {
  internal::Archive archive = internal::open_zip(path, ZIP_CREATE | ZIP_TRUNCATE, path);
  for (const ArchiveEntry& entry : entries) add(archive.get(), entry, path);
  if (zip_close(archive.get()) != 0) {
    const bool no_folder = zip_error_code_system(zip_get_error(archive.get())) == ENOENT;
    throw Error(no_folder ? Code::kNotFound : Code::kResourceExhausted,
                fmt::format("{}: {}", path, zip_strerror(archive.get())));
  }
  static_cast<void>(archive.release());
}

}  // namespace cohort::data
