#include "cohort/checkpoint/storage.h"

#include <algorithm>

#include "cohort/core/error.h"

namespace cohort::checkpoint {

std::string read_file(Storage& storage, const std::string& path, uint64_t max_bytes) {
  const std::unique_ptr<InputFile> file = storage.open(path);
  if (file->size() > max_bytes)
    throw DataLoss("{}: got {} bytes; want at most {}", path, file->size(), max_bytes);
  std::string bytes(file->size(), '\0');
  file->read(0, bytes.data(), bytes.size());
  return bytes;
}

void write_file(Storage& storage, const std::string& path, std::string_view bytes) {
  const std::unique_ptr<OutputFile> file = storage.create(path);
  file->append(bytes);
  file->sync();
  file->close();
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.ends_with('/')) path += '/';
  return path.append(name);
}

std::string parent_path(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return std::string(path.substr(0, std::max<size_t>(1, slash)));
}

}  // namespace cohort::checkpoint
